// Glue between a candidate function and the pipe: decodes arguments and encodes the result by type.
// It is compiled into the precompiled header together with the headers that nearly every candidate uses.
#pragma once
#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

namespace judge_rpc {

struct Reader {
    const unsigned char* at;
    const unsigned char* end;
    bool ok = true;
    bool raw(void* to, std::size_t n) {
        if (!ok || static_cast<std::size_t>(end - at) < n) return ok = false;
        std::memcpy(to, at, n);
        at += n;
        return true;
    }
    std::uint32_t count() {
        std::uint32_t n = 0;
        raw(&n, sizeof n);
        if (n > static_cast<std::size_t>(end - at)) { ok = false; n = 0; }
        return n;
    }
};

struct Writer {
    std::string out;
    void raw(const void* from, std::size_t n) { out.append(static_cast<const char*>(from), n); }
    void count(std::size_t n) {
        const auto small = static_cast<std::uint32_t>(n);
        raw(&small, sizeof small);
    }
};

template <class T> struct Codec {  // integers, bool, char and floating point
    static void get(Reader& r, T& v) {
        if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, char>) {
            unsigned char byte = 0;
            r.raw(&byte, 1);
            v = static_cast<T>(byte);
        } else if constexpr (std::is_floating_point_v<T>) {
            double d = 0;
            r.raw(&d, sizeof d);
            v = static_cast<T>(d);
        } else {
            std::int64_t n = 0;
            r.raw(&n, sizeof n);
            v = static_cast<T>(n);
        }
    }
    static void put(Writer& w, const T& v) {
        if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, char>) {
            const auto byte = std::is_same_v<T, bool> ? static_cast<unsigned char>(v ? 1 : 0) : static_cast<unsigned char>(v);
            w.raw(&byte, 1);
        } else if constexpr (std::is_floating_point_v<T>) {
            const double d = v;
            w.raw(&d, sizeof d);
        } else {
            const auto n = static_cast<std::int64_t>(v);
            w.raw(&n, sizeof n);
        }
    }
};

template <> struct Codec<std::string> {
    static void get(Reader& r, std::string& v) {
        const std::uint32_t n = r.count();
        v.resize(n);
        r.raw(v.data(), n);
    }
    static void put(Writer& w, const std::string& v) {
        w.count(v.size());
        w.raw(v.data(), v.size());
    }
};

template <class T> void add(std::vector<T>& v, T&& item) { v.push_back(std::move(item)); }
template <class K> void add(std::set<K>& v, K&& item) { v.insert(std::move(item)); }
template <class T> struct Sequence {
    static void get(Reader& r, T& v) {
        for (std::uint32_t n = r.count(); n && r.ok; --n) {
            typename T::value_type item{};
            Codec<typename T::value_type>::get(r, item);
            add(v, std::move(item));
        }
    }
    static void put(Writer& w, const T& v) {
        w.count(v.size());
        for (const auto& item : v) Codec<typename T::value_type>::put(w, item);
    }
};
template <class T> struct Associative {
    static void get(Reader& r, T& v) {
        for (std::uint32_t n = r.count(); n && r.ok; --n) {
            typename T::key_type key{};
            typename T::mapped_type item{};
            Codec<typename T::key_type>::get(r, key);
            Codec<typename T::mapped_type>::get(r, item);
            v.emplace(std::move(key), std::move(item));
        }
    }
    static void put(Writer& w, const T& v) {
        w.count(v.size());
        for (const auto& [key, item] : v) {
            Codec<typename T::key_type>::put(w, key);
            Codec<typename T::mapped_type>::put(w, item);
        }
    }
};
template <class T> struct Product {
    static void get(Reader& r, T& v) {
        std::apply([&](auto&... x) { (Codec<std::decay_t<decltype(x)>>::get(r, x), ...); }, v);
    }
    static void put(Writer& w, const T& v) {
        std::apply([&](const auto&... x) { (Codec<std::decay_t<decltype(x)>>::put(w, x), ...); }, v);
    }
};

template <class T> struct Codec<std::vector<T>> : Sequence<std::vector<T>> {};
template <class K> struct Codec<std::set<K>> : Sequence<std::set<K>> {};
template <class K, class V> struct Codec<std::map<K, V>> : Associative<std::map<K, V>> {};
template <class K, class V> struct Codec<std::unordered_map<K, V>> : Associative<std::unordered_map<K, V>> {};
template <class A, class B> struct Codec<std::pair<A, B>> : Product<std::pair<A, B>> {};
template <class... T> struct Codec<std::tuple<T...>> : Product<std::tuple<T...>> {};
template <class T> struct Codec<std::optional<T>> {
    static void get(Reader& r, std::optional<T>& v) {
        unsigned char flag = 0;
        r.raw(&flag, 1);
        if (flag) Codec<T>::get(r, v.emplace());
    }
    static void put(Writer& w, const std::optional<T>& v) {
        const unsigned char flag = v ? 1 : 0;
        w.raw(&flag, 1);
        if (v) Codec<T>::put(w, *v);
    }
};

template <class T> void get(Reader& r, T& v) { Codec<T>::get(r, v); }
template <class T> void put(Writer& w, const T& v) { Codec<T>::put(w, v); }

using Entry = void (*)(Reader&, Writer&);

}  // namespace judge_rpc

// Instantiated once in the runner's object: the compiler then emits none of this for a candidate.
#ifdef JUDGE_INSTANTIATE
#define JUDGE_EXTERN
#else
#define JUDGE_EXTERN extern
#endif
#define JUDGE_VALUE(...) \
    JUDGE_EXTERN template struct judge_rpc::Codec<__VA_ARGS__>; \
    JUDGE_EXTERN template void judge_rpc::get<__VA_ARGS__>(judge_rpc::Reader&, __VA_ARGS__&); \
    JUDGE_EXTERN template void judge_rpc::put<__VA_ARGS__>(judge_rpc::Writer&, const __VA_ARGS__&);
#define JUDGE_VECTOR(...) \
    JUDGE_EXTERN template class std::vector<__VA_ARGS__>; \
    JUDGE_VALUE(std::vector<__VA_ARGS__>)
JUDGE_VALUE(bool)
JUDGE_VALUE(char)
JUDGE_VALUE(int)
JUDGE_VALUE(long)
JUDGE_VALUE(long long)
JUDGE_VALUE(double)
JUDGE_VALUE(std::string)
JUDGE_VECTOR(int)
JUDGE_VECTOR(long long)
JUDGE_VECTOR(double)
JUDGE_VECTOR(std::string)
JUDGE_VECTOR(std::vector<int>)
#undef JUDGE_EXTERN
#undef JUDGE_VALUE
#undef JUDGE_VECTOR

extern const judge_rpc::Entry judge_entries[];
extern const unsigned judge_entry_count;
