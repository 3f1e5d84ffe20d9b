/*
 * For whom connections are opened and names asked for, once his own connection has ended: answers
 * and his dialogs' requests go wherever he has said that he is to be reached (RFC 3261 18.2.2,
 * 12.2.1.1).
 */
#pragma once

#include "edge/memory_priv.h"

/**
 * One more is under way.
 *
 * @param share  EDGE_SHARE_OF_NOBODY: it is for ourselves, or for somebody without limits
 * @return false: there are as many as limits.connections_per_address, not one of which he has
 *         opened himself
 */
bool edge_cause_enter(struct edge *edge, edge_share share);
/** It is over. */
void edge_cause_leave(struct edge *edge, edge_share share);
