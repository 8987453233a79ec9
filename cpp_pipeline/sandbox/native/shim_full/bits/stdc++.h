// Answers <bits/stdc++.h> for candidates that mention something from its heavy headers.
#pragma once
#include "../../shim/bits/stdc++.h"
#include <atomic>
#include <chrono>
#include <complex>
#include <fstream>
#include <future>
#include <iomanip>
#include <mutex>
#include <random>
#if __cplusplus > 201703L
#include <ranges>
#endif
#include <regex>
#include <sstream>
#include <thread>
