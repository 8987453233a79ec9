// SPDX-License-Identifier: Apache-2.0
#include "image.hpp"

#include <algorithm>
#include <cstddef>

namespace pixelbox {

Image::Image(int width, int height, unsigned char fill)
    : width_(std::max(width, 0)),
      height_(std::max(height, 0)),
      pixels_(static_cast<std::size_t>(width_) * static_cast<std::size_t>(height_), fill) {}

unsigned char Image::pixel(int x, int y) const {
    if (pixels_.empty()) {
        return 0;
    }
    x = std::clamp(x, 0, width_ - 1);
    y = std::clamp(y, 0, height_ - 1);
    return pixels_[static_cast<std::size_t>(y) * width_ + x];
}

void Image::set_pixel(int x, int y, unsigned char value) {
    if (x < 0 || x >= width_ || y < 0 || y >= height_) {
        return;
    }
    pixels_[static_cast<std::size_t>(y) * width_ + x] = value;
}

Image Image::mirrored() const {
    Image result(width_, height_);
    for (int y = 0; y < height_; ++y) {
        for (int x = 0; x < width_; ++x) {
            result.set_pixel(width_ - 1 - x, y, pixel(x, y));
        }
    }
    return result;
}

Image Image::blurred() const {
    Image result(width_, height_);
    for (int y = 0; y < height_; ++y) {
        for (int x = 0; x < width_; ++x) {
            int sum = 0;
            for (int dy = -1; dy <= 1; ++dy) {
                for (int dx = -1; dx <= 1; ++dx) {
                    sum += pixel(x + dx, y + dy);
                }
            }
            result.set_pixel(x, y, static_cast<unsigned char>(sum / 9));
        }
    }
    return result;
}

Image Image::inverted() const {
    Image result = *this;
    for (unsigned char& value : result.pixels_) {
        value = static_cast<unsigned char>(255 - value);
    }
    return result;
}

std::vector<int> Image::histogram() const {
    std::vector<int> counts(256, 0);
    for (unsigned char value : pixels_) {
        ++counts[value];
    }
    return counts;
}

std::string to_pgm(const Image& image) {
    std::string text = "P2\n" + std::to_string(image.width()) + " " + std::to_string(image.height()) + "\n255\n";
    for (int y = 0; y < image.height(); ++y) {
        for (int x = 0; x < image.width(); ++x) {
            text += std::to_string(image.pixel(x, y));
            text += x + 1 < image.width() ? " " : "\n";
        }
    }
    return text;
}

}  // namespace pixelbox
