// Documented functions in the forms that C++ has; `documented.tsv` lists them. Compiles as C++20, in Linux's branches.

#include <compare>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdio>
#include <initializer_list>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#define FORMS_API __attribute__((visibility("default")))
#define FORMS_ALWAYS_INLINE inline __attribute__((always_inline))
#define FORMS_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#define FORMS_DEPRECATED(since, instead) [[deprecated("since " #since ", use " #instead)]]
#define FORMS_GUARDED_BY(x)
#define FORMS_TRY try
#define FORMS_CATCH_ALL catch (...)
#define FORMS_REQUIRES(...) std::enable_if_t<(__VA_ARGS__), int> = 0
#define FORMS_BEGIN namespace forms { inline namespace v1 {
#define FORMS_END } }
#define FORMS_PRIVATE private
#define FORMS_COMPARE(name, op) \
  inline bool name(int a, int b) { return a op b; }

FORMS_BEGIN

// -- free functions ------------------------------------------------------------------------------

/// Plain: adds two numbers.
int plain(int a, int b) { return a + b; }

//! Bang comment before a static function.
static int bang(int a) { return -a; }

/** Block with two stars. */
inline int block(int a) { return a * 2; }

/*! Block with a bang.
 *  Second line. */
unsigned int block_bang(unsigned int a) { return a / 2u; }

/* Plain block before a function. */
long plain_block(long a) { return a; }

// Group of plain lines,
// two of them.
short plain_lines(short a) { return a; }

int behind_line(int a) { return a; }  ///< Trailing on the same line.

int behind_brace(int a) {
  return a + 1;
}  //!< Trailing behind the closing brace.

/// Trailing return type.
auto trailing_return(int a) -> std::vector<int> { return {a}; }

/// Returns a pointer to a function.
int (*function_pointer(bool positive))(int, int) { return positive ? plain : nullptr; }

/// Returns a reference to an array.
int (&array_reference(int (&values)[3]))[3] { return values; }

/// Takes what C calls variadic.
int variadic(const char* format, ...) { return format == nullptr; }

/// Default arguments with braces and a string "}".
std::string defaults(std::initializer_list<int> list = {1, 2}, const char* text = "}{") {
  return list.size() > 1 ? text : std::string{};
}

/// Body that is a try block.
int function_try(int a) try { return a > 0 ? a : throw std::runtime_error("a"); } catch (...) { return 0; }

/// A raw string with a brace and a comment mark.
std::string raw_string() { return R"x(} // { /* )x"; }

/// Digit separators and characters '"' and '\''.
int literals(char c) { return c == '"' || c == '\'' ? 1'000'000 : 0x7F'FF; }

/// Structured binding, lambda in the body and a range loop.
int modern_body(const std::vector<std::pair<int, int>>& pairs) {
  int sum = 0;
  for (const auto& [key, value] : pairs) sum += [&](int factor) { return key * factor; }(value);
  return sum;
}

// -- specifiers, attributes, macros --------------------------------------------------------------

/// Constant expression.
constexpr int squared(int a) noexcept { return a * a; }

/// Immediate function.
consteval int immediate(int a) { return a + 1; }

/// Attribute before.
[[nodiscard]] int attributed(int a) { return a; }

/// Attribute on a line of its own, and another.
[[nodiscard, gnu::noinline]]
[[maybe_unused]]
int attributed_twice(int a) { return a; }

/// Attribute of the compiler.
__attribute__((noinline)) int gnu_attributed(int a) { return a; }

/// Conditional noexcept.
template <class T>
void conditional_noexcept(T& t) noexcept(noexcept(t.clear())) { t.clear(); }

/// Export macro before.
FORMS_API int exported(int a) { return a; }

/// Macro on a line of its own.
FORMS_ALWAYS_INLINE
int forced(int a) { return a; }

/// Macro with arguments that nest.
FORMS_DEPRECATED(2.0, plain(int, int))
int deprecated(int a) { return a; }

/// Macro with arguments and a macro without.
FORMS_NONNULL(1, 2) FORMS_API
int* nonnull(int* a, int* b) { return *a < *b ? a : b; }

/// Macro between the parameters and the body.
int guarded(int& a) FORMS_GUARDED_BY(mutex.lock()) { return a; }

/// Statement macros in the body.
int macro_try(int a) {
  FORMS_TRY { return plain(a, 1); }
  FORMS_CATCH_ALL { return 0; }
}

FORMS_COMPARE(less, <)
FORMS_COMPARE(greater, >)

/// After macro calls without a semicolon.
int after_calls(int a) { return less(a, 1) + greater(a, 2); }

// -- templates -----------------------------------------------------------------------------------

/// Function template.
template <typename T>
T templated(T a) { return a; }

/// Template parameter with a comparison and a default.
template <int N, bool Small = (N < 4), class... Rest>
constexpr int compared(Rest... rest) { return N + static_cast<int>(sizeof...(rest)) + Small; }

/// Template head with a macro.
template <typename T, FORMS_REQUIRES(sizeof(T) > sizeof(char) && !std::is_same<T, long>::value)>
T macro_head(T a) { return a; }

/// Constrained by a clause behind the head.
template <typename T>
  requires std::integral<T> && (sizeof(T) >= 2)
T constrained(T a) { return a; }

/// Constrained behind the parameters.
template <typename T>
T constrained_late(T a) requires requires(T t) { t + t; } { return a + a; }

/// Constrained by a concept in the head.
template <std::floating_point T>
T concept_head(T a) { return a / 2; }

/// Abbreviated template.
auto abbreviated(std::integral auto a, const auto& b) { return a + static_cast<int>(b.size()); }

/// Full specialisation.
template <>
int templated<int>(int a) { return a + 1; }

// -- classes -------------------------------------------------------------------------------------

/// A class is no function.
class FORMS_API Widget final {
 public:
  /// Default constructor with an initialiser list.
  Widget() : Widget(0, "none") {}

  /// Constructor with braces in its initialiser list.
  Widget(int id, std::string name) : id_{id}, name_{std::move(name)} {}

  /// Explicit constructor that a condition decides.
  template <class T>
  explicit(!std::is_convertible_v<T, int>) Widget(T id) : id_(static_cast<int>(id)) {}

  /// Destructor.
  ~Widget() { id_ = 0; }

  /// Const member.
  int id() const { return id_; }

  /// Reference qualified member.
  std::string take() && { return std::move(name_); }

  /// Comparison.
  bool operator==(const Widget& other) const { return id_ == other.id_; }

  /// Three-way comparison.
  std::strong_ordering operator<=>(const Widget& other) const { return id_ <=> other.id_; }

  /// Call operator.
  int operator()(int a) const { return a + id_; }

  /// Subscript.
  char& operator[](std::size_t at) { return name_[at]; }

  /// Arrow.
  const std::string* operator->() const { return &name_; }

  /// Postfix increment.
  Widget operator++(int) { return Widget(id_++); }

  /// Conversion.
  explicit operator bool() const noexcept { return id_ != 0; }

  /// Conversion to a type with a scope.
  operator std::string() const { return name_; }

  /// Assignment.
  Widget& operator=(const Widget& other) {
    if (this != &other) id_ = other.id_;
    return *this;
  }

  /// Allocation.
  static void* operator new(std::size_t size) { return ::operator new(size); }

  /// Static member.
  static Widget make() { return Widget(1, "made"); }

  /// Friend that the class defines.
  friend std::ostream& operator<<(std::ostream& out, const Widget& w) { return out << w.name_; }

  /// A class inside.
  struct Part {
    /// Member of a nested class.
    int size() const { return 1; }
  };

  /// Member template that is declared here.
  template <class U>
  U scaled(U factor) const;

  int area() const;

 FORMS_PRIVATE:
  /// Private member behind a macro for the access.
  int hidden() const { return id_; }

  int id_ = 0;
  std::string name_;
};

/// Member defined outside its class.
int Widget::area() const { return hidden() * 2; }

/// Member template defined outside its class.
template <class U>
U Widget::scaled(U factor) const { return factor * static_cast<U>(id_); }

/// A class template.
template <class T, class Allocator = std::allocator<T>>
class Box {
 public:
  void put(T value);
  template <class U>
  void emplace(U&& value);
  Box& operator+=(const T& value);
  operator T() const;

 private:
  T value_{};
};

/// Member of a class template.
template <class T, class Allocator>
void Box<T, Allocator>::put(T value) { value_ = std::move(value); }

/// Member template of a class template.
template <class T, class Allocator>
template <class U>
void Box<T, Allocator>::emplace(U&& value) { value_ = T(std::forward<U>(value)); }

/// Operator of a class template.
template <class T, class Allocator>
Box<T, Allocator>& Box<T, Allocator>::operator+=(const T& value) {
  value_ += value;
  return *this;
}

/// Conversion of a class template.
template <class T, class Allocator>
Box<T, Allocator>::operator T() const { return value_; }

/// Partial specialisation.
template <class T>
struct Box<T*, void> {
  /// Member of a partial specialisation.
  bool empty() const { return value == nullptr; }
  T* value = nullptr;
};

/// Literal operator.
inline unsigned long long operator""_kib(unsigned long long n) { return n * 1024; }

/// Comma operator outside a class.
inline Widget operator,(const Widget& a, int) { return a; }

// -- lambdas, coroutines -------------------------------------------------------------------------

/// Lambda with a name.
auto twice = [](int a) { return 2 * a; };

/// Generic lambda that is constant.
constexpr inline auto generic = []<class T>(T a, T b) constexpr noexcept -> bool { return a < b; };

/// The result of a coroutine.
struct Task {
  struct promise_type {
    Task get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}
  };
};

/// Coroutine.
Task coroutine(int count) {
  for (int i = 0; i < count; ++i) co_await std::suspend_never{};
  co_return;
}

FORMS_END

// -- C, conditions, namespaces -------------------------------------------------------------------

extern "C" {
/// Inside a linkage block.
int c_block(int a) { return a; }
}

/// With a linkage of its own.
extern "C" FORMS_API int c_single(int a) { return a; }

namespace {
/// In an unnamed namespace.
int unnamed() { return 1; }
}  // namespace

namespace forms::inner {
/// In a namespace with two names.
int two_names() { return unnamed(); }
}  // namespace forms::inner

#if defined(_WIN32)
/// In the first branch.
int branch() { return 1; }
#elif defined(__APPLE__)
/// In the second branch.
int branch() { return 2; }
#else
/// In the last branch.
int branch() { return 3; }
#endif

/// Conditions in an initialiser list.
struct Conditional {
  /// Constructor with a condition between its initialisers.
  explicit Conditional(int a)
      :
#if !defined(NDEBUG)
        debug_(a),
#endif
        value_(a) {
  }
  /// After the condition.
  int value() const { return value_; }

#if !defined(NDEBUG)
  int debug_;
#endif
  int value_;
};

/// Conditions between if and else.
int conditional_else(int a) {
#ifdef _WIN32
  if (a > 1) {
    return 1;
  } else
#endif
  if (a > 0) {
    return 2;
  }
  return 3;
}

/// After the conditions.
int last(int a) { return a; }
