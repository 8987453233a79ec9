// SPDX-License-Identifier: Apache-2.0
#include "colour.hpp"

#include <algorithm>
#include <cmath>

namespace pixelbox {

/**
 * Brightness of a colour as the eye sees it, with the weights of Rec. 601.
 *
 * @param red red part between 0 and 255
 * @param green green part between 0 and 255
 * @param blue blue part between 0 and 255
 * @return brightness between 0 and 255
 */
int luminance(int red, int green, int blue) {
    return (299 * red + 587 * green + 114 * blue + 500) / 1000;
}

/**
 * Write a colour as a hash sign and six hexadecimal digits, for example "#ff8000".
 * Parts outside 0 to 255 are moved to the nearer end.
 */
std::string to_hex(int red, int green, int blue) {
    const char* digits = "0123456789abcdef";
    std::string text = "#";
    for (int part : {red, green, blue}) {
        const int value = std::clamp(part, 0, 255);
        text.push_back(digits[value / 16]);
        text.push_back(digits[value % 16]);
    }
    return text;
}

/**
 * Mix two values linearly and round to the nearest integer.
 *
 * @param from value at share 0
 * @param to value at share 1
 * @param share share of the second value, moved into the range 0 to 1
 */
int blend(int from, int to, double share) {
    const double weight = std::clamp(share, 0.0, 1.0);
    return static_cast<int>(std::lround(from + (to - from) * weight));
}

}  // namespace pixelbox
