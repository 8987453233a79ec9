// Second precompiled header, for candidates that include <bits/stdc++.h> or <iostream>.
#pragma once
#include "judge.hpp"
#include "shim/bits/stdc++.h"
