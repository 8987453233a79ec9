// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "colour.hpp"
#include "image.hpp"

int main() {
    pixelbox::Image image(8, 4);
    for (int x = 0; x < image.width(); ++x) {
        for (int y = 0; y < image.height(); ++y) {
            image.set_pixel(x, y, static_cast<unsigned char>(pixelbox::blend(0, 255, x / 7.0)));
        }
    }
    std::cout << pixelbox::to_pgm(image.blurred());
    return 0;
}
