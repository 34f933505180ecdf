#include "tests.h"
int test_heal(void)
{
    return 0;
}
