# What Debian wants of a package beyond what is installed. Run by CPack between installing and packing.
set(root ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr)
set(doc ${root}/share/doc/${CPACK_PACKAGE_NAME})
set(source ${CMAKE_CURRENT_LIST_DIR}/../../..)

function(compress)
  execute_process(COMMAND gzip -9nf ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(GLOB pages ${root}/share/man/man*/*)
compress(${pages})
file(COPY ${CMAKE_CURRENT_LIST_DIR}/copyright DESTINATION ${doc})
file(COPY_FILE ${source}/CHANGELOG.md ${doc}/changelog)
execute_process(COMMAND ${CMAKE_CURRENT_LIST_DIR}/changelog.py ${source}/CHANGELOG.md ${CPACK_PACKAGE_NAME} ${CPACK_PACKAGE_VERSION}
                        ${CPACK_DEBIAN_PACKAGE_RELEASE} ${CPACK_DEBIAN_PACKAGE_MAINTAINER}
                OUTPUT_FILE ${doc}/changelog.Debian COMMAND_ERROR_IS_FATAL ANY)
compress(${doc}/changelog ${doc}/changelog.Debian)
# Whatever the umask of whoever builds it is.
execute_process(COMMAND chmod -R u=rwX,go=rX ${CPACK_TEMPORARY_INSTALL_DIRECTORY} COMMAND_ERROR_IS_FATAL ANY)
