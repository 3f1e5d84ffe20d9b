/*
 * YAML into a tree, and no more of it than a config needs: no anchors, no tags, one document.  The
 * only user of libyaml.
 */
#pragma once

#include <msrpd/slice.h>

struct tree;
struct tree_fault;

enum { CONFIG_TEXT_MAX = 16 << 20 }; /* bytes */

/**
 * @param rootp  to be freed; NULL for an empty text
 * @return 0; -EINVAL or -ENOMEM with fault filled
 */
int config_compose(struct tree **rootp, struct slice text, struct tree_fault *fault);
