/* tinyhash: a small string hash. SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYHASH_H
#define TINYHASH_H

#include <stddef.h>
#include <stdint.h>

/* Hash a block of bytes with the 32-bit FNV-1a function. */
static inline uint32_t tinyhash(const void* data, size_t size) {
    const unsigned char* bytes = (const unsigned char*)data;
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; ++i) {
        hash ^= bytes[i];
        hash *= 16777619u;
    }
    return hash;
}

#endif
