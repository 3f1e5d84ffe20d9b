/* Do the edge and Sofia-SIP, which reads behind it, see the same message? */
#pragma once

#include "edge/framer.h"

/**
 * Let Sofia-SIP parse a message out of a stream that goes on behind it.
 * @param text  the message as it is passed on
 * @param head  its head as the edge has it, whole and good
 * @return NULL when they agree in all that the edge knows, and Sofia-SIP has no reason to give
 *         the stream up; otherwise where they differ
 */
const char *sofia_differs(struct slice text, const struct edge_head *head);
