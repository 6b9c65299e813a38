# The tasks of extscrub. `make` alone lists them; `make demo` and `make check` need nothing to be set up before.

PREFIX ?= /usr/local
# Images and tools for long runs, which are not part of this repository.
SHARED ?= $(CURDIR)/../shared
JOBS   ?= $(shell nproc)
SUDO   := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

PACKAGES := g++ cmake make ninja-build pkg-config ccache \
	libext2fs-dev libtbb-dev libcli11-dev libfmt-dev catch2 liburing-dev libisal-dev libxxhash-dev nlohmann-json3-dev libpugixml-dev libblkid-dev libarchive-dev \
	e2fsprogs zstd xxhash fuse3 libfuse3-dev time python3 util-linux fdisk gdisk gzip xz-utils strace \
	python3-jsonschema libxml2-utils jq systemd dpkg-dev \
	clang-19 libclang-rt-19-dev

# A failed test says what it saw.
CTEST := ctest --output-on-failure -j$(JOBS)

# How many inputs each fuzz target gets in `make check`: they take a few seconds.
FUZZ_RUNS ?= 500

# What ccache may overlook, so that it works with the tests' precompiled header.
export CCACHE_SLOPPINESS := pch_defines,time_macros,include_file_mtime,include_file_ctime

.PHONY: tables help deps build check unit asan tsan fuzz fuzz-build corpus kept mounts block-devices hostile history writers sweep kill mutants bench demo program \
	package package-check virtual-disks install uninstall clean

help:  ## list the targets
	@awk -F ':[^#]*## *' '/^[a-z-]+:.*## / { printf "  make %-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Does nothing, and needs no network, when all packages are there.
deps:  ## install the Debian packages that are missing
	@command -v dpkg-query >/dev/null || { echo "make deps knows Debian only; wanted: $(PACKAGES)" >&2; exit 1; }; \
	missing=; \
	for p in $(PACKAGES); do \
	  dpkg-query -W -f='$${db:Status-Status}\n' "$$p" 2>/dev/null | grep -qx installed || missing="$$missing $$p"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	echo "installing:$$missing"; \
	$(SUDO) apt-get -qq update >/dev/null && \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends \
	  $$missing >/dev/null

# A folder is configured once; ninja configures it again by itself when a CMakeLists.txt changes.
build/CMakeCache.txt:
	cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DEXTSCRUB_WERROR=ON

# One build for the sanitized tests and the fuzz targets. At -O1 the tests take less than half of the time that they take at
# -O0; they themselves are compiled with -O0.
build-asan/CMakeCache.txt:
	cmake -S . -B build-asan -G Ninja -DEXTSCRUB_WERROR=ON -DCMAKE_CXX_COMPILER=clang++-19 -DEXTSCRUB_FUZZ=ON \
	  -DEXTSCRUB_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=Sanitize '-DCMAKE_CXX_FLAGS_SANITIZE=-O1 -g1'

build-tsan/CMakeCache.txt:
	cmake -S . -B build-tsan -G Ninja -DEXTSCRUB_WERROR=ON -DEXTSCRUB_SANITIZE=thread \
	  -DCMAKE_BUILD_TYPE=Sanitize '-DCMAKE_CXX_FLAGS_SANITIZE=-O1 -g1'

build-fuzz/CMakeCache.txt:
	cmake -S . -B build-fuzz -G Ninja -DEXTSCRUB_WERROR=ON -DCMAKE_CXX_COMPILER=clang++-19 -DEXTSCRUB_FUZZ=ON -DEXTSCRUB_TESTS=OFF \
	  -DEXTSCRUB_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=Fuzz '-DCMAKE_CXX_FLAGS_FUZZ=-O1 -g1'

build: deps  ## build the program and its tests in build/ (Release)
	@$(MAKE) --no-print-directory build/CMakeCache.txt
	cmake --build build -j$(JOBS)

asan: deps  ## run the tests, and each fuzz target shortly, with address and undefined behaviour sanitizers
	@$(MAKE) --no-print-directory build-asan/CMakeCache.txt
	cmake --build build-asan -j$(JOBS)
	cd build-asan && FUZZ_RUNS=$(FUZZ_RUNS) UBSAN_OPTIONS=print_stacktrace=1 $(CTEST) -LE '$(or $(LEAVE_OUT),slow)'

fuzz-build: deps
	@$(MAKE) --no-print-directory build-fuzz/CMakeCache.txt
	cmake --build build-fuzz -j$(JOBS) --target fuzz-targets

fuzz: fuzz-build  ## run each fuzz target for FUZZ_SECONDS (600)
	cd build-fuzz && FUZZ_SECONDS=$(or $(FUZZ_SECONDS),600) $(CTEST) -L fuzz

# The unit tests run once, with the sanitizers; the program that is installed goes through the scenarios.
check: program  ## run the unit tests and fuzz targets with sanitizers, and the scenarios on the release build
	@$(MAKE) --no-print-directory asan LEAVE_OUT=e2e
	cd build && $(CTEST) -L e2e -LE long

unit: build  ## run the unit tests in the release build
	cd build && $(CTEST) -LE e2e

# libtbb is not built with the sanitizer, so what happens inside it looks like races.
tsan: deps  ## run the tests built with the thread sanitizer
	@$(MAKE) --no-print-directory build-tsan/CMakeCache.txt
	cmake --build build-tsan -j$(JOBS)
	cd build-tsan && TSAN_OPTIONS="suppressions=$(CURDIR)/tests/support/tsan.supp history_size=4 second_deadlock_stack=1" \
	  $(CTEST) -LE slow

corpus: build  ## audit and scrub the corpus and images filled by the kernel (needs SHARED, root)
	$(SHARED)/tools/corpus --mode both build/extscrub $(SHARED)/corpus || :
	cd build && EXTSCRUB_SHARED=$(SHARED) $(CTEST) -R '^e2e_(corpus|corpus_scrub|kernel_images|plan|second_scrub|sound_images)$$'

kept: build  ## count the files that scrubs of the corpus lose without need (needs SHARED, root)
	@rm -rf build/corrupt && mkdir -p build/corrupt
	@for f in $(SHARED)/corpus/corrupt/*.zst; do ln -s "$$(realpath "$$f")" build/corrupt/; done
	tests/long/kept_files.py --repair=safe build/extscrub build/corrupt
	tests/long/kept_files.py --repair=all build/extscrub build/corrupt

mounts: build  ## mend MOUNTS_COUNT (240) images damaged at random, and have the kernel read each (needs SHARED, root)
	tests/long/mended_mounts.sh build/extscrub $(SHARED)/tools/fuzz $(or $(MOUNTS_COUNT),240) $(or $(MOUNTS_SEED),1)

block-devices: program  ## audit, scrub and undo on loop devices, with sectors of 512 and 4096 bytes (needs root)
	cd build && $(CTEST) -R '^e2e_block_devices$$'

hostile: program  ## audit and scrub HOSTILE_IMAGES (5000) damaged images and HOSTILE_CONTAINERS (1000) disks, within limits (HOSTILE_SEED)
	tests/long/hostile.py --seed $(or $(HOSTILE_SEED),1) --images $(or $(HOSTILE_IMAGES),5000) --containers $(or $(HOSTILE_CONTAINERS),1000) \
	  --jobs $(or $(HOSTILE_JOBS),1) --keep build/hostile build/extscrub

history: program  ## have others write to HISTORY_IMAGES (300) images, and see that no audit says that a write was lost (HISTORY_SEED; needs root)
	tests/long/history.py --seed $(or $(HISTORY_SEED),1) --images $(or $(HISTORY_IMAGES),300) --snapshots $(or $(HISTORY_SNAPSHOTS),200) \
	  --jobs $(or $(HISTORY_JOBS),2) --also $(SHARED)/corpus --maker $(SHARED)/tools/make-images --keep build/history build/extscrub

writers: PACKAGES += genext2fs busybox e2tools fuse2fs fuseext2 zerofree partclone genimage attr acl
writers: program  ## have other writers make and change images, WRITERS_ROUNDS (5) turns each; an audit finds nothing, a scrub writes nothing (needs root)
	tests/long/writers.py --seed $(or $(WRITERS_SEED),1) --rounds $(or $(WRITERS_ROUNDS),5) --jobs $(or $(WRITERS_JOBS),2) \
	  --maker $(SHARED)/tools/make-images --keep build/writers build/extscrub

tables: build  ## every field and every pointer of the format gone wrong, all rows, each repair cut off behind every write; then mounted (needs root)
	@rm -rf build/tables && mkdir -p build/tables
	cd build && EXTSCRUB_WHOLE_TABLE=1 EXTSCRUB_KEEP_IMAGES=$(CURDIR)/build/tables $(CTEST) --timeout 7200 -R '^(field|pointer)_.*_test$$'
	tests/long/table_mounts.sh build/tables

sweep: build  ## break every write of a scrub in turn (needs SHARED and FUSE; hours)
	tests/long/sweep.sh build/extscrub $(SHARED)/tools

mutants:  ## take each guard of tests/house/mutants.txt out in turn, and see that its tests notice (MUTANTS=--only=WORD; half an hour)
	tests/house/mutants.py $(MUTANTS) .

kill: build  ## kill a scrub at KILLS (200) random moments, and see what is left each time
	KILLS=$(or $(KILLS),200) tests/long/kill_sweep.sh build/extscrub
	KILLS=$(or $(KILLS),50) tests/long/kill_sweep.sh build/extscrub --commit=direct

bench: build  ## time audit and scrub against e2fsck (BENCH_OPTIONS: see tests/long/bench.py --help)
	tests/long/bench.py $(BENCH_OPTIONS) build/extscrub

demo: program  ## make an image, damage it, audit it, scrub it, audit it again
	@tests/e2e/demo.sh build/extscrub

# The program alone: its tests take several times as long to build.
program: deps
	@$(MAKE) --no-print-directory build/CMakeCache.txt
	cmake --build build -j$(JOBS) --target extscrub

package: program  ## build the Debian package in build/; of one commit it is the same file wherever it is built
	cd build && SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || date +%s)} cpack -G DEB

package-check: PACKAGES += lintian zsh fish
package-check: package  ## have lintian look at the Debian package, run the program and the units, try all completions
	cd build && $(CTEST) -R '^e2e_(completions|package|systemd_boot)$$'

virtual-disks: PACKAGES += qemu-utils libnbd-bin
virtual-disks: program  ## audit, scrub and undo virtual disks and the disk of an NBD server (needs FUSE)
	cd build && $(CTEST) -R '^e2e_virtual_disks$$'

install: program  ## install into $(DESTDIR)$(PREFIX)
	DESTDIR="$(DESTDIR)" cmake --install build --prefix "$(PREFIX)"

uninstall:  ## remove what the last `make install` has installed
	DESTDIR="$(DESTDIR)" cmake --build build --target uninstall

clean:  ## remove what was built
	rm -rf build build-asan build-tsan build-fuzz
