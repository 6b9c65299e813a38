# What is installed beside the program and its manual. Included: a command after linking belongs into the target's folder.
set(share ${PROJECT_BINARY_DIR}/share)

find_package(Python3 COMPONENTS Interpreter)
if(EXTSCRUB_SANITIZE)
  # Nobody installs those, and a program that may not start here must not break the build.
elseif(Python3_FOUND)
  set(completions ${CMAKE_CURRENT_LIST_DIR}/make_completions.py)
  add_custom_command(TARGET extscrub POST_BUILD VERBATIM
    COMMAND ${Python3_EXECUTABLE} ${completions} $<TARGET_FILE:extscrub> ${share})
  set_property(TARGET extscrub APPEND PROPERTY LINK_DEPENDS ${completions})
  install(FILES ${share}/extscrub.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME extscrub)
  install(FILES ${share}/extscrub.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
  # Debian's zsh looks below /usr in another place than below /usr/local.
  install(CODE "set(zsh site-functions)\nif(CMAKE_INSTALL_PREFIX STREQUAL /usr)\n  set(zsh vendor-completions)\nendif()")
  install(FILES ${share}/_extscrub DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/\${zsh})
else()
  message(STATUS "No Python 3: there will be no completions for the shells")
endif()

install(FILES ${CMAKE_CURRENT_LIST_DIR}/report-1.schema.json ${CMAKE_CURRENT_LIST_DIR}/junit-1.xsd DESTINATION ${CMAKE_INSTALL_DATADIR}/extscrub)

configure_file(${CMAKE_CURRENT_LIST_DIR}/install.cmake.in ${share}/install.cmake @ONLY)
install(SCRIPT ${share}/install.cmake)
install(FILES ${CMAKE_CURRENT_LIST_DIR}/extscrub.timer DESTINATION lib/systemd/system)
