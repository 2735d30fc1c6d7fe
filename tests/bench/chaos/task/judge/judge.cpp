// Nobody compiles it: chaos_worker computes results from digests.
int main() {}
