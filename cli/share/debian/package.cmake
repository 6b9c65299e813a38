# The Debian package, by CPack: `make package`, or `cpack -G DEB` in the build folder.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/stage.cmake)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "extscrub maintainers <extscrub@example.org>" CACHE STRING "Who maintains the Debian package")
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS e2fsprogs)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "qemu-utils, libnbd-bin")  # for virtual disks
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/postinst ${CMAKE_CURRENT_LIST_DIR}/prerm
    ${CMAKE_CURRENT_LIST_DIR}/postrm)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "offline auditor and scrubber of ext2, ext3 and ext4 images")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "Finds damage in ext file systems in image files and on block devices that are
not mounted, and repairs it without taking anything on trust: a repair is
staged in memory and audited before a byte is written, what is written over is
saved first, every write is checked and read back, and an image never claims
to be clean while it is damaged.
.
Reports are text, JSON, JUnit, or metrics for node_exporter; systemd units for
nightly audits are included.")
include(CPack)
