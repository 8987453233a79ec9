// Between a candidate and the tests in one unit: what the candidate may have redefined is put right as far as text
// allows, and every assert of the tests becomes a numbered check. See inproc.cpp for what becomes of them.
#undef alignas
#undef alignof
#undef asm
#undef assert
#undef auto
#undef bool
#undef break
#undef case
#undef catch
#undef char
#undef class
#undef const
#undef const_cast
#undef constexpr
#undef continue
#undef decltype
#undef default
#undef delete
#undef do
#undef double
#undef dynamic_cast
#undef else
#undef enum
#undef explicit
#undef extern
#undef false
#undef float
#undef for
#undef friend
#undef goto
#undef if
#undef inline
#undef int
#undef judge_checks
#undef judge_first
#undef judge_site
#undef long
#undef main
#undef mutable
#undef namespace
#undef new
#undef noexcept
#undef nullptr
#undef operator
#undef private
#undef protected
#undef public
#undef register
#undef reinterpret_cast
#undef requires
#undef return
#undef short
#undef signed
#undef sizeof
#undef static
#undef static_assert
#undef static_cast
#undef std
#undef struct
#undef switch
#undef template
#undef this
#undef thread_local
#undef throw
#undef true
#undef try
#undef typedef
#undef typeid
#undef typename
#undef union
#undef unsigned
#undef using
#undef virtual
#undef void
#undef volatile
#undef while

namespace judge_checks {
void enter(unsigned site);
void leave(unsigned site, bool passed);
void threw(unsigned site);  // inside of a handler
}  // namespace judge_checks
