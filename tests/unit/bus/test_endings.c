#include "tests.h"
int test_endings(void)
{
    return 0;
}
