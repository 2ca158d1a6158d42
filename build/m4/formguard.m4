dnl SPDX-License-Identifier: Apache-2.0

dnl FG_MISSING(WHAT, DEBIAN-PACKAGE, RHEL-PACKAGE)
dnl End configure with the packages that bring what is missing.
AC_DEFUN([FG_MISSING],
  [AC_MSG_ERROR([$1 is missing. Install $2 (Debian, Ubuntu) or $3 (RHEL, Fedora) and run configure again.])])

dnl FG_CHECK_LIB(VARIABLE, MODULE, NAME, DEBIAN-PACKAGE, RHEL-PACKAGE)
AC_DEFUN([FG_CHECK_LIB],
  [PKG_CHECK_MODULES([$1], [$2], [], [FG_MISSING([$3 or newer], [$4], [$5])])])

dnl FG_CHECK_APXS
dnl Sets APXS, FG_HTTPD_CPPFLAGS (httpd's headers) and FG_LIBEXECDIR (where modules live).
AC_DEFUN([FG_CHECK_APXS],
  [AC_ARG_WITH([apxs],
     [AS_HELP_STRING([--with-apxs=PATH], [the apxs of the httpd to build for])],
     [APXS=$withval], [APXS=])
   AS_CASE([$APXS],
     [''|yes], [AC_PATH_PROGS([APXS], [apxs apxs2], [], [$PATH:/usr/sbin:/usr/local/apache2/bin])],
     [no], [AC_MSG_ERROR([mod_formguard is a module of httpd and can't be built --without-apxs.])],
     [AS_IF([test -x "$APXS"], [],
        [AC_MSG_ERROR([--with-apxs=$APXS: there is no such program.])])])
   AS_IF([test -z "$APXS"], [FG_MISSING([apxs, the build tool of Apache httpd,], [apache2-dev], [httpd-devel])])
   AC_SUBST([APXS])
   AC_MSG_CHECKING([for the headers of httpd 2.4])
   FG_HTTPD_INCLUDEDIR=`$APXS -q INCLUDEDIR`
   FG_LIBEXECDIR=`$APXS -q LIBEXECDIR`
   AS_IF([test -f "$FG_HTTPD_INCLUDEDIR/ap_release.h"], [],
     [AC_MSG_RESULT([no])
      FG_MISSING([httpd.h (not in $FG_HTTPD_INCLUDEDIR)], [apache2-dev], [httpd-devel])])
   FG_HTTPD_MINOR=`$SED -n 's/^@%:@define AP_SERVER_MINORVERSION_NUMBER *//p' "$FG_HTTPD_INCLUDEDIR/ap_release.h"`
   FG_HTTPD_PATCH=`$SED -n 's/^@%:@define AP_SERVER_PATCHLEVEL_NUMBER *//p' "$FG_HTTPD_INCLUDEDIR/ap_release.h"`
   AC_MSG_RESULT([2.$FG_HTTPD_MINOR.$FG_HTTPD_PATCH in $FG_HTTPD_INCLUDEDIR])
   AS_IF([test "$FG_HTTPD_MINOR" = 4], [], [AC_MSG_ERROR([httpd 2.4 is needed, $APXS belongs to 2.$FG_HTTPD_MINOR.])])
   FG_HTTPD_CPPFLAGS="-I$FG_HTTPD_INCLUDEDIR"
   AC_SUBST([FG_HTTPD_CPPFLAGS])
   AC_SUBST([FG_LIBEXECDIR])])

dnl FG_CHECK_COMPILER
dnl C11 with atomics, and the project's warnings.
AC_DEFUN([FG_CHECK_COMPILER],
  [AC_MSG_CHECKING([whether $CC has C11 atomics])
   AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[#include <stdatomic.h>
#include <stdint.h>
     ]], [[_Atomic uint64_t a = 0; uint64_t b = 0;
     return !atomic_compare_exchange_strong(&a, &b, 1);]])],
     [AC_MSG_RESULT([yes])],
     [AC_MSG_RESULT([no])
      AC_MSG_ERROR([a C11 compiler with <stdatomic.h> is needed: gcc 4.9 or clang 3.6 or newer.])])
   FG_WARNINGS="-Wall -Wextra -Wshadow -Wstrict-prototypes -Wformat=2"
   AC_ARG_ENABLE([werror],
     [AS_HELP_STRING([--enable-werror], [treat warnings as errors])])
   AS_IF([test "x$enable_werror" = xyes], [FG_WARNINGS="$FG_WARNINGS -Werror"])
   AC_SUBST([FG_WARNINGS])])

dnl FG_AS_SYSTEM(VARIABLE)
dnl Turn its -I into -isystem, but for /usr/include itself, whose place must not change.
AC_DEFUN([FG_AS_SYSTEM],
  [$1=`AS_ECHO(["$$1"]) | $SED -e 's,-I */,-isystem /,g' -e 's,-isystem /usr/include\( \|$\),-I/usr/include\1,g'`])
