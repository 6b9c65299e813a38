# What the build says of itself: the version of CMakeLists.txt, and for a release that is built from a checkout the commit, so
# that a report can be told from one of a later day. A build from an archive of the sources has no commit.
set(EXTSCRUB_REVISION "")
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND EXISTS ${PROJECT_SOURCE_DIR}/.git)
  find_package(Git QUIET)
  if(GIT_FOUND)
    execute_process(COMMAND ${GIT_EXECUTABLE} -c safe.directory=${PROJECT_SOURCE_DIR} describe --always --abbrev=12 --exclude=* --dirty=+
                    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE EXTSCRUB_REVISION OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(EXISTS ${PROJECT_SOURCE_DIR}/.git/logs/HEAD)  # a line longer with every commit
      set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/.git/logs/HEAD)
    endif()
  endif()
endif()
configure_file(cli/version.h.in generated/version.h @ONLY)
configure_file(cli/revision.h.in generated/revision.h @ONLY)
