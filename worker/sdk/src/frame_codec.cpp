#include "worker/sdk/src/frame_codec.hpp"

#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "worker/sdk/src/json_text.hpp"

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

// One entry of the member `tensors`, members sorted by name as everywhere.
void append_entry(std::string& out, const Tensor& tensor, std::size_t offset) {
  out += out.back() == '[' ? R"({"dtype":)" : R"(,{"dtype":)";
  append_quoted(out, to_string(tensor.dtype()));
  out += R"(,"name":)";
  append_quoted(out, tensor.name());
  out += R"(,"offset":)" + std::to_string(offset) + R"(,"shape":[)";
  for (const std::int64_t size : tensor.shape()) {
    if (out.back() != '[') out += ',';
    out += std::to_string(size);
  }
  out += tensor.descriptor() >= 0 ? R"(],"shared":true})" : "]}";
}

// The JSON part: the members with `type` and `tensors` among them, in the order of their names.
std::string make_json(const Message& message, const std::string& tensors) {
  std::string type;
  append_quoted(type, message.type);
  const std::array<std::pair<std::string_view, const std::string*>, 2> own = {
      {{"tensors", &tensors}, {"type", &type}}};
  std::string out = "{";
  const auto append_name = [&out](std::string_view name) {
    if (out.size() > 1) out += ',';
    append_quoted(out, name);
    out += ':';
  };
  auto next = tensors.empty() ? own.begin() + 1 : own.begin();
  const auto append_own = [&] {
    append_name(next->first);
    out += *(next++)->second;
  };
  for (const auto& [name, value] : message.members) {
    while (next != own.end() && next->first < name) append_own();
    if (next != own.end() && next->first == name) continue;  // The frame's own counts.
    append_name(name);
    append_text(out, value, 1);
  }
  while (next != own.end()) append_own();
  return out += '}';
}

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

  Tensor read(const TensorEntry& entry) {
    try {
      if (entry.shared) return read_shared(entry);
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
  Tensor read_shared(const TensorEntry& entry) {
    if (used_ == descriptors_.size()) malformed("shared tensor without a descriptor");
    auto storage = map_sealed_storage(descriptors_[used_++].release());
    return Tensor(entry.name, entry.dtype, entry.shape, std::move(storage), entry.offset);
  }

  std::shared_ptr<TensorStorage> payload_;
  std::vector<Descriptor> descriptors_;
  std::size_t used_ = 0;
  std::size_t end_ = 0;
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
  std::string tensors;
  for (const Tensor& tensor : message.tensors) {
    if (tensors.empty()) tensors = "[";
    if (tensor.descriptor() >= 0) {
      append_entry(tensors, tensor, tensor.offset());
      out.descriptors.push_back(tensor.descriptor());
      continue;
    }
    const std::size_t offset = aligned(out.payload_bytes);
    append_entry(tensors, tensor, offset);
    out.parts.push_back({offset, &tensor});
    out.payload_bytes = offset + tensor.bytes().size();
  }
  if (!tensors.empty()) tensors += ']';
  out.json = make_json(message, tensors);
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
  return MessageDecoder().decode(bytes.substr(0, lengths.json), std::move(payload), {});
}

MessageDecoder::Parsed MessageDecoder::parse(std::string_view json) {
  Parsed parsed;
  try {
    parsed.members = parse_json_object(json);
  } catch (const std::invalid_argument& error) {
    malformed(error.what());
  }
  const auto type = parsed.members.find("type");
  if (type == parsed.members.end() || type->second.text() == nullptr) malformed("no type");
  parsed.type = *type->second.text();
  parsed.members.erase(type);
  const auto tensors = parsed.members.find("tensors");
  if (tensors == parsed.members.end()) return parsed;
  const JsonArray* entries = tensors->second.array();
  if (entries == nullptr || entries->size() > kTensorsMax) malformed("bad list of tensors");
  std::set<std::string> names;
  for (const Json& json_entry : *entries) {
    TensorEntry entry = read_entry(json_entry);
    if (!names.insert(entry.name).second) malformed("tensor appears twice: name=" + entry.name);
    parsed.tensors.push_back(std::move(entry));
  }
  parsed.members.erase(tensors);
  return parsed;
}

Message MessageDecoder::decode(std::string_view json, std::shared_ptr<TensorStorage> payload,
                               std::vector<Descriptor> descriptors) {
  if (json.size() > kRememberedBytesMax) {
    return place(parse(json), std::move(payload), std::move(descriptors));
  }
  if (json_.empty() || json != json_) {
    json_.clear();
    parsed_ = parse(json);
    json_ = json;
  }
  return place(parsed_, std::move(payload), std::move(descriptors));
}

Message MessageDecoder::place(Parsed parsed, std::shared_ptr<TensorStorage> payload,
                              std::vector<Descriptor> descriptors) {
  Message message(std::move(parsed.type), std::move(parsed.members));
  TensorReader reader(std::move(payload), std::move(descriptors));
  message.tensors.reserve(parsed.tensors.size());
  for (const TensorEntry& entry : parsed.tensors) message.tensors.push_back(reader.read(entry));
  message.descriptors = reader.finish();
  return message;
}

}  // namespace cambrian
