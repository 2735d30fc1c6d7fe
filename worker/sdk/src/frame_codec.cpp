#include "worker/sdk/src/frame_codec.hpp"

#include <bit>
#include <cstring>
#include <optional>
#include <set>

namespace cambrian {
namespace {

static_assert(std::endian::native == std::endian::little, "frames are little endian");

constexpr std::array<char, 4> kMagic = {'C', 'M', 'B', '1'};

[[noreturn]] void malformed(const std::string& reason) {
  throw FrameError(FrameError::Kind::malformed, reason);
}

std::optional<DType> dtype_from(std::string_view name) {
  for (const DType dtype : {DType::f32, DType::f64, DType::i32, DType::i64, DType::u8}) {
    if (to_string(dtype) == name) return dtype;
  }
  return std::nullopt;
}

std::size_t aligned(std::size_t offset) {
  return (offset + kPayloadAlignment - 1) / kPayloadAlignment * kPayloadAlignment;
}

JsonObject describe(const Tensor& tensor, std::size_t offset) {
  JsonArray shape;
  for (const std::int64_t size : tensor.shape()) shape.emplace_back(size);
  JsonObject entry;
  entry["name"] = tensor.name();
  entry["dtype"] = to_string(tensor.dtype());
  entry["shape"] = std::move(shape);
  entry["offset"] = offset;
  if (tensor.descriptor() >= 0) entry["shared"] = true;
  return entry;
}

// One entry of the member `tensors`, checked.
struct TensorEntry {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::size_t offset = 0;
  bool shared = false;
};

const Json& member(const JsonObject& object, std::string_view name) {
  const auto found = object.find(name);
  if (found == object.end()) malformed("tensor without " + std::string(name));
  return found->second;
}

Shape read_shape(const Json& json) {
  const JsonArray* sizes = json.array();
  if (sizes == nullptr || sizes->size() > kRankMax) malformed("tensor with a bad shape");
  Shape shape;
  for (const Json& size : *sizes) {
    const auto value = size.integer();
    if (!value || *value < 0) malformed("tensor with a bad shape");
    shape.push_back(*value);
  }
  return shape;
}

TensorEntry read_entry(const Json& json) {
  const JsonObject* object = json.object();
  if (object == nullptr) malformed("entry of tensors is not an object");
  TensorEntry entry;
  const std::string* name = member(*object, "name").text();
  if (name == nullptr || name->empty() || name->size() > kTensorNameBytesMax) {
    malformed("tensor with a bad name");
  }
  entry.name = *name;
  const std::string* dtype_name = member(*object, "dtype").text();
  const auto dtype = dtype_name == nullptr ? std::nullopt : dtype_from(*dtype_name);
  if (!dtype) malformed("tensor with an unknown dtype: name=" + entry.name);
  entry.dtype = *dtype;
  entry.shape = read_shape(member(*object, "shape"));
  const auto offset = member(*object, "offset").integer();
  if (!offset || *offset < 0) malformed("tensor with a bad offset: name=" + entry.name);
  entry.offset = static_cast<std::size_t>(*offset);
  if (const auto shared = object->find("shared"); shared != object->end()) {
    const auto value = shared->second.boolean();
    if (!value) malformed("tensor with a bad shared: name=" + entry.name);
    entry.shared = *value;
  }
  if (object->size() != (object->contains("shared") ? 5U : 4U)) {
    malformed("tensor with an unknown member: name=" + entry.name);
  }
  return entry;
}

// Places tensors one behind the other and refuses everything that is not exactly so: gaps would
// carry data that nobody looks at.
class TensorReader {
 public:
  TensorReader(std::shared_ptr<TensorStorage> payload, std::vector<Descriptor> descriptors)
      : payload_(std::move(payload)), descriptors_(std::move(descriptors)) {}

  Tensor read(const Json& json) {
    TensorEntry entry = read_entry(json);
    if (!names_.insert(entry.name).second) malformed("tensor appears twice: name=" + entry.name);
    try {
      if (entry.shared) return read_shared(std::move(entry));
      if (entry.offset != aligned(end_)) malformed("tensor with a wrong offset: " + entry.name);
      Tensor tensor(entry.name, entry.dtype, entry.shape, payload_, entry.offset);
      end_ = entry.offset + tensor.bytes().size();
      return tensor;
    } catch (const std::invalid_argument& error) {
      malformed(error.what());
    }
  }

  std::vector<Descriptor> finish() {
    if (end_ != payload_->size()) {
      malformed("surplus bytes: payload=" + std::to_string(payload_->size()) +
                " tensors=" + std::to_string(end_));
    }
    descriptors_.erase(descriptors_.begin(),
                       descriptors_.begin() + static_cast<std::ptrdiff_t>(used_));
    return std::move(descriptors_);
  }

 private:
  Tensor read_shared(TensorEntry entry) {
    if (used_ == descriptors_.size()) malformed("shared tensor without a descriptor");
    auto storage = map_sealed_storage(descriptors_[used_++].release());
    return Tensor(std::move(entry.name), entry.dtype, std::move(entry.shape), std::move(storage),
                  entry.offset);
  }

  std::shared_ptr<TensorStorage> payload_;
  std::vector<Descriptor> descriptors_;
  std::size_t used_ = 0;
  std::size_t end_ = 0;
  std::set<std::string> names_;
};

}  // namespace

Header encode_header(FrameLengths lengths) {
  Header header;
  const auto json = static_cast<std::uint32_t>(lengths.json);
  const auto payload = static_cast<std::uint64_t>(lengths.payload);
  std::memcpy(header.data(), kMagic.data(), kMagic.size());
  std::memcpy(header.data() + 4, &json, sizeof(json));
  std::memcpy(header.data() + 8, &payload, sizeof(payload));
  return header;
}

FrameLengths decode_header(const Header& header) {
  if (std::memcmp(header.data(), kMagic.data(), kMagic.size()) != 0) malformed("wrong magic");
  std::uint32_t json = 0;
  std::uint64_t payload = 0;
  std::memcpy(&json, header.data() + 4, sizeof(json));
  std::memcpy(&payload, header.data() + 8, sizeof(payload));
  if (json < 2) malformed("JSON part is too short");
  return {json, payload};
}

EncodedMessage encode_message(const Message& message) {
  EncodedMessage out;
  JsonArray entries;
  for (const Tensor& tensor : message.tensors) {
    if (tensor.descriptor() >= 0) {
      entries.emplace_back(describe(tensor, tensor.offset()));
      out.descriptors.push_back(tensor.descriptor());
      continue;
    }
    const std::size_t offset = aligned(out.payload_bytes);
    entries.emplace_back(describe(tensor, offset));
    out.parts.push_back({offset, &tensor});
    out.payload_bytes = offset + tensor.bytes().size();
  }
  JsonObject object = message.members;
  object["type"] = message.type;
  if (!entries.empty()) object["tensors"] = std::move(entries);
  out.json = to_text(object);
  for (const Descriptor& descriptor : message.descriptors) {
    out.descriptors.push_back(descriptor.get());
  }
  if (out.json.size() > kJsonBytesMax) throw std::invalid_argument("frame: JSON part too large");
  if (out.payload_bytes > kPayloadBytesMax) throw std::invalid_argument("frame: payload too large");
  if (message.tensors.size() > kTensorsMax) throw std::invalid_argument("frame: too many tensors");
  if (out.descriptors.size() > kDescriptorsMax) {
    throw std::invalid_argument("frame: too many descriptors");
  }
  return out;
}

std::string to_bytes(const Message& message) {
  const EncodedMessage encoded = encode_message(message);
  if (!encoded.descriptors.empty()) throw std::invalid_argument("frame: has descriptors");
  const Header header = encode_header({encoded.json.size(), encoded.payload_bytes});
  std::string bytes(header.size() + encoded.json.size() + encoded.payload_bytes, '\0');
  std::memcpy(bytes.data(), header.data(), header.size());
  std::memcpy(bytes.data() + header.size(), encoded.json.data(), encoded.json.size());
  char* const payload = bytes.data() + header.size() + encoded.json.size();
  for (const PayloadPart& part : encoded.parts) {
    const auto content = part.tensor->bytes();
    if (!content.empty()) std::memcpy(payload + part.offset, content.data(), content.size());
  }
  return bytes;
}

Message from_bytes(std::string_view bytes) {
  Header header;
  if (bytes.size() < header.size()) malformed("shorter than a header");
  std::memcpy(header.data(), bytes.data(), header.size());
  bytes.remove_prefix(header.size());
  const FrameLengths lengths = decode_header(header);
  if (lengths.json > kJsonBytesMax || lengths.payload > kPayloadBytesMax ||
      bytes.size() != lengths.json + lengths.payload) {
    malformed("lengths do not fit: bytes=" + std::to_string(bytes.size()));
  }
  auto payload = make_heap_storage(lengths.payload);
  if (lengths.payload > 0) {
    std::memcpy(payload->data(), bytes.data() + lengths.json, lengths.payload);
  }
  return decode_message(bytes.substr(0, lengths.json), std::move(payload), {});
}

Message decode_message(std::string_view json, std::shared_ptr<TensorStorage> payload,
                       std::vector<Descriptor> descriptors) {
  Message message;
  try {
    message.members = parse_json_object(json);
  } catch (const std::invalid_argument& error) {
    malformed(error.what());
  }
  const auto type = message.members.find("type");
  if (type == message.members.end() || type->second.text() == nullptr) malformed("no type");
  message.type = *type->second.text();
  message.members.erase(type);

  TensorReader reader(std::move(payload), std::move(descriptors));
  if (const auto tensors = message.members.find("tensors"); tensors != message.members.end()) {
    const JsonArray* entries = tensors->second.array();
    if (entries == nullptr || entries->size() > kTensorsMax) malformed("bad list of tensors");
    for (const Json& entry : *entries) message.tensors.push_back(reader.read(entry));
    message.members.erase(tensors);
  }
  message.descriptors = reader.finish();
  return message;
}

}  // namespace cambrian
