#include "tests/integration/coordinator/commit_proxy.hpp"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <filesystem>
#include <stdexcept>
#include <thread>

namespace cambrian::test {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using Socket = asio::local::stream_protocol::socket;

constexpr const char* kSocketName = ".s.PGSQL.5432";
/// A simple query message: 'Q', length, "COMMIT", zero.
const std::string kCommit(
    "Q\0\0\0\x0b"
    "COMMIT\0",
    12);

struct Settings {
  std::atomic<int> period = 0;
  std::atomic<int> commits = 0;
  std::atomic<int> lost = 0;
};

/// One client and its connection to the server, both ways.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Socket client, Socket server, Settings& settings)
      : client_(std::move(client)), server_(std::move(server)), settings_(settings) {}

  void start() {
    read_client();
    read_server();
  }

 private:
  void read_client() {
    client_.async_read_some(asio::buffer(from_client_),
                            [self = shared_from_this()](auto error, std::size_t size) {
                              if (error) return self->end();
                              const std::string_view text(self->from_client_.data(), size);
                              const int period = self->settings_.period;
                              // Decided before the bytes go on: the answer must not be faster.
                              if (text.find(kCommit) != std::string_view::npos && period > 0 &&
                                  ++self->settings_.commits % period == 0) {
                                self->is_losing_ = true;
                                ++self->settings_.lost;
                              }
                              boost::system::error_code failure;
                              asio::write(self->server_, asio::buffer(text.data(), size), failure);
                              if (failure) return self->end();
                              self->read_client();
                            });
  }

  void read_server() {
    server_.async_read_some(
        asio::buffer(from_server_), [self = shared_from_this()](auto error, std::size_t size) {
          // The answer to the commit is here: the server is done, and the client never hears of it.
          if (error || self->is_losing_) return self->end();
          boost::system::error_code failure;
          asio::write(self->client_, asio::buffer(self->from_server_.data(), size), failure);
          if (failure) return self->end();
          self->read_server();
        });
  }

  void end() {
    boost::system::error_code ignored;
    client_.close(ignored);
    server_.close(ignored);
  }

  Socket client_;
  Socket server_;
  Settings& settings_;
  bool is_losing_ = false;
  std::array<char, 65536> from_client_{};
  std::array<char, 65536> from_server_{};
};

}  // namespace

struct CommitProxy::State {
  std::string folder;
  std::string server_path;
  std::string connection;
  Settings settings;
  asio::io_context context;
  asio::local::stream_protocol::acceptor acceptor{context};
  std::thread thread;

  void accept() {
    acceptor.async_accept([this](auto error, Socket client) {
      if (error) return;
      Socket server(context);
      boost::system::error_code failure;
      server.connect(server_path, failure);
      if (!failure) {
        std::make_shared<Session>(std::move(client), std::move(server), settings)->start();
      }
      accept();
    });
  }
};

CommitProxy::CommitProxy(const std::string& server, int period)
    : state_(std::make_unique<State>()) {
  constexpr std::string_view kHost = "host=";
  const auto begin = server.find(kHost) + kHost.size();
  const auto end = server.find(' ', begin);
  auto folder = (fs::temp_directory_path() / "cambrian-proxy-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  state_->folder = folder;
  state_->server_path = server.substr(begin, end - begin) + "/" + kSocketName;
  state_->connection = server.substr(0, begin) + folder + server.substr(end);
  state_->settings.period = period;
  const asio::local::stream_protocol::endpoint endpoint(folder + "/" + kSocketName);
  state_->acceptor.open(endpoint.protocol());
  state_->acceptor.bind(endpoint);
  state_->acceptor.listen();
  state_->accept();
  state_->thread = std::thread([state = state_.get()] { state->context.run(); });
}

CommitProxy::~CommitProxy() {
  state_->context.stop();
  state_->thread.join();
  fs::remove_all(state_->folder);
}

const std::string& CommitProxy::connection() const { return state_->connection; }
int CommitProxy::answers_lost() const { return state_->settings.lost; }
void CommitProxy::be_kind() { state_->settings.period = 0; }

}  // namespace cambrian::test
