#include "tests.h"
int test_frappe(void)
{
    return 0;
}
