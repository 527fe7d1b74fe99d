# make run   installs what is missing, builds, and shows a fleet's metrics travel to the data lake
# make test  installs, builds and runs every test
BUILD := build/release
# Two compilers at a time: the linker and the larger units need about 1 GB each.
JOBS ?= $(shell nproc)

.PHONY: run demo build test unit e2e check fuzz tsan format install clean

run: build
	$(BUILD)/fleetward demo

demo: run

install:
	@tools/install.sh

build: install
	@test -f $(BUILD)/build.ninja || cmake -G Ninja -B $(BUILD) -DCMAKE_BUILD_TYPE=Release
	@ninja -C $(BUILD) -j $(JOBS)

unit: build
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS)

e2e: build
	tools/e2e.sh

# Layering, formatting, generated documents.
check: build
	tools/check.sh

# Every fuzz target over its committed corpus and a fixed number of new inputs.
fuzz: install
	tools/fuzz.sh

# Races, in the unit tests of the rooms that have threads. A build of its own, some ten minutes.
tsan: install
	tools/tsan.sh

test: check unit e2e fuzz

format:
	@git ls-files '*.h' '*.cc' | xargs clang-format-19 -i

clean:
	rm -rf build
