// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace pixelbox {

int luminance(int red, int green, int blue);
std::string to_hex(int red, int green, int blue);
int blend(int from, int to, double share);

}  // namespace pixelbox
