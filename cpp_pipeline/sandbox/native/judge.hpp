// Glue between a candidate function and the pipe: decodes arguments and encodes the result by type.
// It is compiled into the precompiled header together with the headers that nearly every candidate uses.
#pragma once
#include <algorithm>
#include <cfloat>
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

// Bytes of anyone: whatever they are, reading ends, allocates in the order of the frame, and leaves `ok` false where they
// are no value of the type. The Python side, wire.py, accepts exactly the same frames.
struct Reader {
    const unsigned char* at;
    const unsigned char* end;
    bool ok = true;
    std::size_t room = std::size_t{1} << 20;  // values that absent optionals may still leave out: they take memory, no bytes
    bool fail() { return ok = false; }
    bool done() const { return ok && at == end; }
    bool raw(void* to, std::size_t n) {
        if (!ok || static_cast<std::size_t>(end - at) < n) return fail();
        std::memcpy(to, at, n);
        at += n;
        return true;
    }
    bool flag() {
        unsigned char byte = 0;
        if (raw(&byte, 1) && byte > 1) fail();
        return byte == 1;
    }
    std::uint32_t count() {  // every element takes at least one byte
        std::uint32_t n = 0;
        raw(&n, sizeof n);
        if (n > static_cast<std::size_t>(end - at)) n = fail();
        return n;
    }
    void leave_out(std::size_t width) {
        if (width > room) fail();
        else room -= width;
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

template <class T> struct Codec;

template <class T> struct Scalar {
    static constexpr std::size_t width = 1;
    static void get(Reader& r, T& v) {
        if constexpr (std::is_same_v<T, bool>) {
            v = r.flag();
        } else if constexpr (std::is_same_v<T, char>) {
            r.raw(&v, 1);
        } else if constexpr (std::is_floating_point_v<T>) {
            double d = 0;
            r.raw(&d, sizeof d);
            // a float sends what a float can hold
            const bool narrow = sizeof(T) < sizeof d && std::isfinite(d);
            if (narrow && (std::fabs(d) > FLT_MAX || static_cast<double>(static_cast<T>(d)) != d)) d = r.fail();
            v = static_cast<T>(d);
        } else {
            std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t> n = 0;
            r.raw(&n, sizeof n);
            v = static_cast<T>(n);
            if (v != n) v = r.fail();
        }
    }
    static void put(Writer& w, const T& v) {
        if constexpr (std::is_same_v<T, bool>) {
            unsigned char byte = 0;  // one that was never set may hold anything
            std::memcpy(&byte, &v, 1);
            byte = byte != 0;
            w.raw(&byte, 1);
        } else if constexpr (std::is_same_v<T, char>) {
            w.raw(&v, 1);
        } else if constexpr (std::is_floating_point_v<T>) {
            const auto d = static_cast<double>(v);
            w.raw(&d, sizeof d);
        } else {
            const auto n = static_cast<std::int64_t>(v);
            w.raw(&n, sizeof n);
        }
    }
};

// Containers are known by what they have, so that <deque>, <list> and the like cost only those who include them.
template <class T> struct Range {
    using Item = typename T::value_type;
    static constexpr std::size_t width = 1;
    static void get(Reader& r, T& v) {
        v.clear();
        for (std::uint32_t n = r.count(); n && r.ok; --n) {
            Item item{};
            Codec<Item>::get(r, item);
            if (r.ok) v.push_back(std::move(item));
        }
    }
    static void put(Writer& w, const T& v) {
        w.count(v.size());
        for (const auto& item : v) Codec<Item>::put(w, item);
    }
};
// Sets and maps. A key that occurs twice, or is not equal to itself (NaN), is in none of them.
template <class T, class Mapped> struct Keyed {
    using Key = typename T::key_type;
    static constexpr std::size_t width = 1;
    static void get(Reader& r, T& v) {
        v.clear();
        for (std::uint32_t n = r.count(); n && r.ok; --n) {
            Key key{};
            Codec<Key>::get(r, key);
            const std::size_t before = v.size();
            if (!(key == key)) r.fail();
            if constexpr (std::is_void_v<Mapped>) {
                if (r.ok) v.insert(std::move(key));
            } else {
                Mapped item{};
                Codec<Mapped>::get(r, item);
                if (r.ok) v.emplace(std::move(key), std::move(item));
            }
            if (v.size() == before) r.fail();
        }
    }
    static void put(Writer& w, const T& v) {
        w.count(v.size());
        for (const auto& item : v) {
            if constexpr (std::is_void_v<Mapped>) {
                Codec<Key>::put(w, item);
            } else {
                Codec<Key>::put(w, item.first);
                Codec<Mapped>::put(w, item.second);
            }
        }
    }
};
template <class T> struct Fixed {  // std::array
    using Item = typename T::value_type;
    static constexpr std::size_t width = std::tuple_size_v<T> * Codec<Item>::width;
    static_assert(width > 0, "every value takes at least one byte");
    static void get(Reader& r, T& v) {
        for (auto& item : v) Codec<Item>::get(r, item);
    }
    static void put(Writer& w, const T& v) {
        for (const auto& item : v) Codec<Item>::put(w, item);
    }
};
template <class T, class... Part> struct Product {
    static constexpr std::size_t width = (Codec<Part>::width + ...);
    static void get(Reader& r, T& v) {
        std::apply([&](auto&... x) { (Codec<Part>::get(r, x), ...); }, v);
    }
    static void put(Writer& w, const T& v) {
        std::apply([&](const auto&... x) { (Codec<Part>::put(w, x), ...); }, v);
    }
};

template <class T, class = void> struct Kind { using type = Range<T>; };
template <class T> struct Kind<T, std::enable_if_t<std::is_arithmetic_v<T>>> { using type = Scalar<T>; };
template <class T> struct Kind<T, std::enable_if_t<(std::tuple_size<T>::value > 0)>> { using type = Fixed<T>; };
template <class T> struct Kind<T, std::void_t<typename T::hasher>> { using type = Keyed<T, void>; };

template <class T> struct Codec : Kind<T>::type {};
template <> struct Codec<std::string> {
    static constexpr std::size_t width = 1;
    static void get(Reader& r, std::string& v) {
        const std::uint32_t n = r.count();
        v.assign(reinterpret_cast<const char*>(r.at), n);
        r.at += n;
    }
    static void put(Writer& w, const std::string& v) {
        w.count(v.size());
        w.raw(v.data(), v.size());
    }
};
template <class T> struct Codec<std::vector<T>> : Range<std::vector<T>> {};
template <class K> struct Codec<std::set<K>> : Keyed<std::set<K>, void> {};
template <class K> struct Codec<std::multiset<K>> : Keyed<std::multiset<K>, void> {};
template <class K, class V> struct Codec<std::map<K, V>> : Keyed<std::map<K, V>, V> {};
template <class K, class V> struct Codec<std::multimap<K, V>> : Keyed<std::multimap<K, V>, V> {};
template <class K, class V> struct Codec<std::unordered_map<K, V>> : Keyed<std::unordered_map<K, V>, V> {};
template <class A, class B> struct Codec<std::pair<A, B>> : Product<std::pair<A, B>, A, B> {};
template <class... T> struct Codec<std::tuple<T...>> : Product<std::tuple<T...>, T...> {};
template <class T> struct Codec<std::optional<T>> {
    static constexpr std::size_t width = 1 + Codec<T>::width;
    static void get(Reader& r, std::optional<T>& v) {
        v.reset();
        if (r.flag()) Codec<T>::get(r, v.emplace());
        else r.leave_out(width);
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
#define JUDGE_VALUE(BASE, ...) \
    JUDGE_EXTERN template struct judge_rpc::BASE<__VA_ARGS__>; \
    JUDGE_EXTERN template void judge_rpc::get<__VA_ARGS__>(judge_rpc::Reader&, __VA_ARGS__&); \
    JUDGE_EXTERN template void judge_rpc::put<__VA_ARGS__>(judge_rpc::Writer&, const __VA_ARGS__&);
#define JUDGE_VECTOR(...) \
    JUDGE_EXTERN template class std::vector<__VA_ARGS__>; \
    JUDGE_VALUE(Range, std::vector<__VA_ARGS__>)
JUDGE_VALUE(Scalar, bool)
JUDGE_VALUE(Scalar, char)
JUDGE_VALUE(Scalar, int)
JUDGE_VALUE(Scalar, long)
JUDGE_VALUE(Scalar, long long)
JUDGE_VALUE(Scalar, double)
JUDGE_EXTERN template void judge_rpc::get<std::string>(judge_rpc::Reader&, std::string&);
JUDGE_EXTERN template void judge_rpc::put<std::string>(judge_rpc::Writer&, const std::string&);
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
