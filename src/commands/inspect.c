#include "commands/commands.h"
dh_status dh_command_inspect(const dh_options *options){(void)options;return DH_INTERNAL;}
