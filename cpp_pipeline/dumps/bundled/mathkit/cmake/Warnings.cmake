# SPDX-License-Identifier: Apache-2.0
# Turn on the compiler's warnings for one target.
function(mathkit_enable_warnings target)
    if(MSVC)
        target_compile_options(${target} PRIVATE /W4)
    else()
        target_compile_options(${target} PRIVATE -Wall -Wextra)
    endif()
endfunction()
