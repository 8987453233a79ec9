// The templates that judge.hpp declares as made elsewhere: made here, once, and linked to every program.
#define JUDGE_INSTANTIATE
#include "judge.hpp"
