#pragma once

#include <msrpd/buffer.h>
