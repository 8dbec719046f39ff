# Man pages, made from the program's own table of options: docs/man/man1/dhatu.1, dhatu-COMMAND.1; and that of the job
# scripts, docs/man/dhatu-slurm.7.in, written by hand.
#
# Included by the root CMakeLists.txt, it adds the target `man`, which is part of every build, and the install
# rules, also of the other documentation. Run as a script (cmake -DDHATU=PROGRAM -DFOLDER=DIR -P ManPages.cmake) it
# writes the pages; which commands there are, the program says.

if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(man_folder ${PROJECT_BINARY_DIR}/docs/man/man1)
  add_custom_command(
    OUTPUT ${man_folder}/dhatu.1
    COMMAND ${CMAKE_COMMAND} -DDHATU=$<TARGET_FILE:dhatu> -DFOLDER=${man_folder} -P ${CMAKE_CURRENT_LIST_FILE}
    DEPENDS dhatu ${CMAKE_CURRENT_LIST_FILE}
    COMMENT "Writing the man pages"
    VERBATIM)
  add_custom_target(man ALL DEPENDS ${man_folder}/dhatu.1)
  install(DIRECTORY ${man_folder}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 FILES_MATCHING PATTERN "*.1")
  configure_file(docs/man/dhatu-slurm.7.in docs/man/man7/dhatu-slurm.7 @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/docs/man/man7/dhatu-slurm.7 DESTINATION ${CMAKE_INSTALL_MANDIR}/man7)
  install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
  install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md" PATTERN man EXCLUDE)
  return()
endif()

cmake_minimum_required(VERSION 3.21)

function(write_page file)
  execute_process(COMMAND ${DHATU} help --man ${ARGN} OUTPUT_FILE ${FOLDER}/${file} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${DHATU} help --man ${ARGN}: ${result}")
  endif()
endfunction()

file(REMOVE_RECURSE ${FOLDER})
file(MAKE_DIRECTORY ${FOLDER})
execute_process(COMMAND ${DHATU} --help OUTPUT_VARIABLE help COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCH "Commands:\n(  [^\n]*\n)+" list "${help}")
string(REGEX MATCHALL "\n  [a-z]+" commands "${list}")
if(NOT commands)
  message(FATAL_ERROR "${DHATU} --help lists no commands")
endif()
foreach(command ${commands})
  string(STRIP "${command}" command)
  write_page(dhatu-${command}.1 ${command})
endforeach()
write_page(dhatu.1)
