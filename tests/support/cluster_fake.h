/* A node of a cluster in which nobody else is, for a program that has no other: include it once. */
#pragma once

#include "cluster/cluster.h"

struct slice cluster_own_process(const struct cluster *cluster)
{
	(void)cluster;
	return SLICE("b 2");
}

struct slice cluster_own_name(const struct cluster *cluster)
{
	(void)cluster;
	return SLICE("b");
}

struct slice cluster_own_sip(const struct cluster *cluster)
{
	(void)cluster;
	return SLICE("sip:b");
}

void cluster_watch_start(struct cluster *cluster, struct cluster_watch *watch)
{
	(void)cluster;
	(void)watch;
}

void cluster_watch_stop(struct cluster *cluster, struct cluster_watch *watch)
{
	(void)cluster;
	(void)watch;
}
