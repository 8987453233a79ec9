// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <stdexcept>
#include <vector>

namespace mathkit {

/// Dense matrix in row-major order.
template <typename T>
class Matrix {
public:
    /// Make a matrix in which every element has the same value.
    Matrix(std::size_t rows, std::size_t columns, T value = T{})
        : rows_(rows), columns_(columns), values_(rows * columns, value) {}

    std::size_t rows() const { return rows_; }
    std::size_t columns() const { return columns_; }

    /// Element in a row and a column, both counted from 0.
    /// @throws std::out_of_range when the position lies outside the matrix
    T& at(std::size_t row, std::size_t column) {
        if (row >= rows_ || column >= columns_) {
            throw std::out_of_range("matrix position");
        }
        return values_[row * columns_ + column];
    }

    /// Read-only element in a row and a column, both counted from 0.
    const T& at(std::size_t row, std::size_t column) const {
        if (row >= rows_ || column >= columns_) {
            throw std::out_of_range("matrix position");
        }
        return values_[row * columns_ + column];
    }

    /// Copy of the matrix with rows and columns exchanged.
    Matrix transposed() const {
        Matrix result(columns_, rows_);
        for (std::size_t row = 0; row < rows_; ++row) {
            for (std::size_t column = 0; column < columns_; ++column) {
                result.at(column, row) = at(row, column);
            }
        }
        return result;
    }

    /// Matrix product of this matrix and another one.
    /// @throws std::invalid_argument when the inner sizes differ
    Matrix multiply(const Matrix& other) const {
        if (columns_ != other.rows_) {
            throw std::invalid_argument("inner sizes differ");
        }
        Matrix result(rows_, other.columns_);
        for (std::size_t row = 0; row < rows_; ++row) {
            for (std::size_t column = 0; column < other.columns_; ++column) {
                T sum{};
                for (std::size_t k = 0; k < columns_; ++k) {
                    sum += at(row, k) * other.at(k, column);
                }
                result.at(row, column) = sum;
            }
        }
        return result;
    }

    /// Sum of the elements on the main diagonal.
    T trace() const {
        T sum{};
        for (std::size_t i = 0; i < rows_ && i < columns_; ++i) {
            sum += at(i, i);
        }
        return sum;
    }

private:
    std::size_t rows_;
    std::size_t columns_;
    std::vector<T> values_;
};

/// Square matrix with ones on the main diagonal and zeros everywhere else.
template <typename T>
Matrix<T> identity(std::size_t size) {
    Matrix<T> result(size, size);
    for (std::size_t i = 0; i < size; ++i) {
        result.at(i, i) = T{1};
    }
    return result;
}

}  // namespace mathkit
