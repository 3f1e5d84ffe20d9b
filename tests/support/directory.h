/* Directories that tests make. */
#pragma once

/** With all that is in it. */
void directory_remove(const char *path);
