#include "directory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

void directory_remove(const char *path)
{
	char command[256];

	assert_in_range(snprintf(command, sizeof(command), "rm -r %s", path), 1,
	    sizeof(command) - 1);
	assert_int_equal(system(command), 0);
}
