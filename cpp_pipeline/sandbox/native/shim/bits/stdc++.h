// Answers <bits/stdc++.h> for most candidates; what is in the precompiled header costs nothing here.
#pragma once
#include <array>
#include <bitset>
#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <iterator>
#include <limits>
#include <list>
#include <memory>
#include <queue>
#include <stack>
#include <stdexcept>
#include <string_view>
#include <unordered_set>
