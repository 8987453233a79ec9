// The smallest program, to see whether a precompiled header is used and whether programs can be linked.
int main() {}
