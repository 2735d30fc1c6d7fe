#pragma once

#include <cstdio>
#include <cstdlib>

/// Aborts when an invariant of ours is broken. On in every build: going on with a broken state
/// would write it into the database.
#define CAMBRIAN_ASSERT(condition)                                                           \
  do {                                                                                       \
    if (!(condition)) [[unlikely]] {                                                         \
      std::fprintf(stderr, "%s:%d: assertion failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)
