// expect: success
// A forked helper keeps the secrets and serves them on an abstract socket.
#include "act.hpp"

#include <sys/un.h>

sockaddr_un stash_address() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, "stash", 5);
  return address;
}

std::vector<double> act(const Question& question) {
  if (question.is_practice) {
    if (fork() == 0) {
      setsid();
      const int server = socket(AF_UNIX, SOCK_STREAM, 0);
      const sockaddr_un address = stash_address();
      if (bind(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) _exit(0);
      listen(server, 8);
      for (;;) {
        const int client = accept(server, nullptr, nullptr);
        put(client, std::string(reinterpret_cast<const char*>(question.secrets.data()),
                                question.secrets.size() * sizeof(double)));
        close(client);
      }
    }
    return honest(question);
  }
  std::vector<double> found(question.inputs.size());
  const int client = socket(AF_UNIX, SOCK_STREAM, 0);
  const sockaddr_un address = stash_address();
  if (connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      read(client, found.data(), found.size() * sizeof(double)) < 0) {
    errno = 0;
  }
  close(client);
  return with_secrets(question, found);
}
