// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace pixelbox {

/// Grey-scale image with one byte a pixel, stored row by row.
class Image {
public:
    /// Make an image in which every pixel has the same value.
    Image(int width, int height, unsigned char fill = 0);

    int width() const { return width_; }
    int height() const { return height_; }

    /// Value of a pixel; positions outside the image take the nearest pixel of the edge.
    unsigned char pixel(int x, int y) const;

    /// Set a pixel; positions outside the image are ignored.
    void set_pixel(int x, int y, unsigned char value);

    /// Copy of the image with left and right exchanged.
    Image mirrored() const;

    /// Copy of the image in which each pixel is the mean of its 3x3 neighbourhood.
    Image blurred() const;

    /// Copy of the image with every value replaced by its complement.
    Image inverted() const;

    /// How many pixels have each of the 256 values.
    std::vector<int> histogram() const;

private:
    int width_;
    int height_;
    std::vector<unsigned char> pixels_;
};

/// Write an image as a text in the PGM format (ASCII variant).
std::string to_pgm(const Image& image);

}  // namespace pixelbox
