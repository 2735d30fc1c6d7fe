#include "cambrian/candidate.hpp"

int main() { return cambrian::run_candidate(cambrian::channel_from_environment()); }
