/*
 * A clock that a test turns.  Only in tests that tests/CMakeLists.txt names: there timer_now_ms() of
 * our own code is it; timers are still the loop's.
 */
#pragma once

#include <stdint.h>

/** What it shows from now on; it stands still. */
void clock_set_ms(uint64_t now_ms);
