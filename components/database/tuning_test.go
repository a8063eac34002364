package database

import (
	"fmt"
	"strings"
	"testing"
)

// The expected values were worked out by hand from the formulas that Tuning's
// comments state.
func TestTune(t *testing.T) {
	for _, c := range []struct {
		name    string
		machine Machine
		want    string
	}{
		{"the least", Machine{MemoryBytes: 256 * miB, CPUs: 1, StorageBytes: 1 * giB},
			"shared_buffers=64MB effective_cache_size=192MB maintenance_work_mem=32MB autovacuum_work_mem=16MB work_mem=4MB " +
				"max_connections=25 timescaledb.max_background_workers=16 max_worker_processes=20 max_parallel_workers=1 " +
				"max_parallel_workers_per_gather=0 wal_buffers=1966kB max_wal_size=64MB min_wal_size=32MB max_locks_per_transaction=128"},
		{"the default size", Machine{MemoryBytes: 4 * giB, CPUs: 2, StorageBytes: 50 * giB},
			"shared_buffers=1GB effective_cache_size=3GB maintenance_work_mem=512MB autovacuum_work_mem=64MB work_mem=32MB " +
				"max_connections=50 timescaledb.max_background_workers=16 max_worker_processes=21 max_parallel_workers=2 " +
				"max_parallel_workers_per_gather=1 wal_buffers=16MB max_wal_size=3GB min_wal_size=1536MB max_locks_per_transaction=128"},
		{"many connections share the memory", Machine{MemoryBytes: 4 * giB, CPUs: 2, Connections: 400, StorageBytes: 50 * giB},
			"shared_buffers=1GB effective_cache_size=3GB maintenance_work_mem=512MB autovacuum_work_mem=64MB work_mem=4MB " +
				"max_connections=400 timescaledb.max_background_workers=16 max_worker_processes=21 max_parallel_workers=2 " +
				"max_parallel_workers_per_gather=1 wal_buffers=16MB max_wal_size=3GB min_wal_size=1536MB max_locks_per_transaction=128"},
		{"large", Machine{MemoryBytes: 32 * giB, CPUs: 8, StorageBytes: 1024 * giB},
			"shared_buffers=8GB effective_cache_size=24GB maintenance_work_mem=2047MB autovacuum_work_mem=512MB work_mem=32MB " +
				"max_connections=100 timescaledb.max_background_workers=16 max_worker_processes=27 max_parallel_workers=8 " +
				"max_parallel_workers_per_gather=4 wal_buffers=16MB max_wal_size=16GB min_wal_size=8GB max_locks_per_transaction=1024"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, s := range Tune(c.machine).settings()[:14] {
				got = append(got, s.name+"="+s.value)
			}
			if g := strings.Join(got, " "); g != c.want {
				t.Errorf("got  %s\nwant %s", g, c.want)
			}
		})
	}
}

func TestRecommendedConnectionsFollowTheMemory(t *testing.T) {
	for gigs, want := range map[int64]int{2: 25, 4: 50, 6: 75, 8: 100} {
		if got := Tune(Machine{MemoryBytes: gigs * giB, CPUs: 2, StorageBytes: giB}).MaxConnections; got != want {
			t.Errorf("%d GiB: %d connections, want %d", gigs, got, want)
		}
		if got := Tune(Machine{MemoryBytes: gigs*giB + 1, CPUs: 2, StorageBytes: giB}).MaxConnections; got < want || (gigs < 8 && got == want) {
			t.Errorf("one byte above %d GiB: %d connections, want the next step after %d", gigs, got, want)
		}
	}
}

func TestLocksDoubleWithTheMemory(t *testing.T) {
	for gigs, want := range map[int64]int{7: 128, 8: 256, 15: 256, 16: 512, 31: 512, 32: 1024, 128: 1024} {
		if got := Tune(Machine{MemoryBytes: gigs * giB, CPUs: 2, StorageBytes: giB}).MaxLocksPerTransaction; got != want {
			t.Errorf("%d GiB: %d locks, want %d", gigs, got, want)
		}
	}
}

// What is in memory beside the queries must leave room for them, whatever the size.
func TestSettingsStayWithinTheLimits(t *testing.T) {
	for _, memory := range []int64{256 * miB, 512 * miB, giB, 4 * giB, 64 * giB} {
		for _, storage := range []int64{giB, 10 * giB, 500 * giB} {
			for _, connections := range []int{0, LeastConnections, MostConnections(memory)} {
				m := Machine{MemoryBytes: memory, CPUs: 4, Connections: connections, StorageBytes: storage}
				tuning := Tune(m)
				t.Run(fmt.Sprintf("%dMB/%dGB/%d", memory/miB, storage/giB, connections), func(t *testing.T) {
					idle := tuning.SharedBuffers + int64(tuning.MaxConnections)*connectionBytes
					if idle > memory*3/4 {
						t.Errorf("shared buffers and idle connections take %d of %d bytes", idle, memory)
					}
					if tuning.SharedMemory > memory/4 {
						t.Errorf("/dev/shm of %d bytes is more than a quarter of %d", tuning.SharedMemory, memory)
					}
					if tuning.MaxWALSize > storage/10 {
						t.Errorf("a log of %d bytes is more than a tenth of the volume of %d", tuning.MaxWALSize, storage)
					}
					// PostgreSQL refuses to start with less than two segments.
					if tuning.MinWALSize < 2*walSegment {
						t.Errorf("min_wal_size is %d, below two segments", tuning.MinWALSize)
					}
					if tuning.GraceSeconds() < 60 || tuning.RecoverySeconds() < 60 {
						t.Errorf("grace %d s, recovery %d s: want a minute at least", tuning.GraceSeconds(), tuning.RecoverySeconds())
					}
				})
			}
		}
	}
}

func TestBytesLoseNothing(t *testing.T) {
	for n, want := range map[int64]string{
		giB: "1GB", 3 * giB / 2: "1536MB", 64 * kiB: "64kB", miB + kiB: "1025kB", 2047 * miB: "2047MB",
	} {
		if got := bytes(n); got != want {
			t.Errorf("bytes(%d) = %s, want %s", n, got, want)
		}
	}
}
