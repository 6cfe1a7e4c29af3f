/* One name, two versions: api@V1 and api@@V2.
 * build: -Wl,--version-script=libtwo.map */
int api_old(int value) { return value + 1; }
int api_new(int value) { return value + 2; }
__asm__(".symver api_old, api@V1");
__asm__(".symver api_new, api@@V2");
