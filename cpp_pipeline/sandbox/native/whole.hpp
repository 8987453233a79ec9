// The standard library as candidates mean it, past the shim.
#include <bits/stdc++.h>
