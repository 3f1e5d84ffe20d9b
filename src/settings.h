/*
 * Settings read by their rows (msrpd/setting.h): one reader for every section
 * of the config, on the tree that the file was made into.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/setting.h>

struct tree;
struct tree_fault;

/**
 * Fill a struct by its rows: what the map gives, and the presets of the rest.
 *
 * @param map    NULL or an empty text: nothing is given
 * @param value  zeroed; settings_clear() it, on failure too
 * @return 0; -EINVAL or -ENOMEM with fault filled
 */
int settings_read(void *value, const struct setting *rows, const struct tree *map,
    struct tree_fault *fault);

/** Free what settings_read() has put into the struct. */
void settings_clear(void *value, const struct setting *rows);

/** Call fn for each file that a map of these rows names, those of secrets included. */
void settings_each_file(const struct setting *rows, const struct tree *map,
    void (*fn)(const char *path, bool written, void *arg), void *arg);

enum { SETTINGS_KEY_SIZE = 128 };

/**
 * The first setting that is fixed at start and differs between two structs.
 *
 * @param key  its name, those of the groups above it in front, joined by dots
 * @return true if there is one
 */
bool settings_fixed_differs(const void *a, const void *b, const struct setting *rows,
    char key[SETTINGS_KEY_SIZE]);

/**
 * Find a row by its name, those of the groups above it in front.
 *
 * @param valuep  the row's field of the struct; NULL when not wanted
 * @return NULL if there is none
 */
const struct setting *settings_find(const struct setting *rows, const char *key, const void *value,
    const void **valuep);

/** Write a number of a row as one would write it in the file: "64KiB", "30s". */
void settings_print(const struct setting *row, uint64_t number, char *text, size_t size);
