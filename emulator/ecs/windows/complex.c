/* C99's complex functions for ucrtbase.dll, of which Wine has no more than stubs that end the program.
 *
 * Microsoft's _Dcomplex and _Fcomplex are structures of two numbers, and its long double is a double. The compiler's own
 * library computes. Each is exported by the name without "shim_" (emulator/ecs/windows/shims.py).
 */
#include <complex.h>

typedef struct { double re, im; } D;
typedef struct { float re, im; } F;

static double _Complex from_d(D z) { double _Complex c; __real__ c = z.re; __imag__ c = z.im; return c; }
static float _Complex from_f(F z) { float _Complex c; __real__ c = z.re; __imag__ c = z.im; return c; }
static D to_d(double _Complex c) { return (D){__real__ c, __imag__ c}; }
static F to_f(float _Complex c) { return (F){__real__ c, __imag__ c}; }

#define NUMBER(name)                                     \
  double shim_##name(D z) { return name(from_d(z)); }    \
  double shim_##name##l(D z) { return name(from_d(z)); } \
  float shim_##name##f(F z) { return name##f(from_f(z)); }
#define ONE(name)                                         \
  D shim_##name(D z) { return to_d(name(from_d(z))); }    \
  D shim_##name##l(D z) { return to_d(name(from_d(z))); } \
  F shim_##name##f(F z) { return to_f(name##f(from_f(z))); }
#define TWO(name)                                                         \
  D shim_##name(D a, D b) { return to_d(name(from_d(a), from_d(b))); }    \
  D shim_##name##l(D a, D b) { return to_d(name(from_d(a), from_d(b))); } \
  F shim_##name##f(F a, F b) { return to_f(name##f(from_f(a), from_f(b))); }

NUMBER(creal) NUMBER(cimag) NUMBER(cabs) NUMBER(carg)
ONE(conj) ONE(cproj) ONE(csqrt) ONE(cexp) ONE(clog)
ONE(csin) ONE(ccos) ONE(ctan) ONE(casin) ONE(cacos) ONE(catan)
ONE(csinh) ONE(ccosh) ONE(ctanh) ONE(casinh) ONE(cacosh) ONE(catanh)
TWO(cpow)

D shim__Cbuild(double re, double im) { return (D){re, im}; }
D shim__LCbuild(double re, double im) { return (D){re, im}; }
F shim__FCbuild(float re, float im) { return (F){re, im}; }

int __stdcall DllMain(void *module, unsigned long reason, void *reserved) {
  (void)module, (void)reason, (void)reserved;
  return 1;
}
