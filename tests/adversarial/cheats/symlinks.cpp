// expect: success
// Follows links out of its folders.
#include "act.hpp"

std::vector<double> act(const Question& question) {
  for (const char* target :
       {"/proc/1/root", "/etc/shadow", "../../../etc/passwd", "/data/canary"}) {
    const std::string link = "/tmp/link" + std::to_string(std::strlen(target));
    if (symlink(target, link.c_str()) == 0) print_file(link);
    if (linkat(AT_FDCWD, target, AT_FDCWD, (link + "hard").c_str(), 0) == 0)
      print_file(link + "hard");
  }
  return honest(question);
}
