// EVOLVE-BLOCK-START
int answer() { return 1; }
// EVOLVE-BLOCK-END
