#include "clock.h"

static uint64_t clock_ms;

void clock_set_ms(uint64_t now_ms)
{
	clock_ms = now_ms;
}

/* The linker's --wrap names it (tests/CMakeLists.txt). */
uint64_t __wrap_timer_now_ms(void);
uint64_t __wrap_timer_now_ms(void)
{
	return clock_ms;
}
