package database

import (
	"fmt"
	"math"
	"strconv"
)

// Byte counts that the formulas are written in.
const (
	kiB int64 = 1 << 10
	miB       = 1 << 20
	giB       = 1 << 30
)

// walSegment is the size of one write-ahead log file, PostgreSQL's default.
const walSegment = 16 * miB

// walShare is the part of the volume that stands for the log's own disk in the
// formulas: data and log share one volume, so a tenth of it (1/walShare).
const walShare = 10

// connectionBytes is what one idle connection keeps for its process and caches,
// with the catalogs of a few hundred chunks in them.
const connectionBytes = 5 * miB

// LeastConnections is the least max_connections that timescaledb-tune recommends.
const LeastConnections = 25

// Machine is what the settings are computed from: the limits of the container,
// not the size of the node that it happens to run on.
type Machine struct {
	// MemoryBytes is the memory limit.
	MemoryBytes int64
	// CPUs is the CPU limit, rounded up to whole cores.
	CPUs int
	// Connections is max_connections; 0 takes the recommendation for the memory.
	Connections int
	// StorageBytes is the size of the volume.
	StorageBytes int64
}

// Tuning holds the computed settings; byte counts are in bytes.
//
// The formulas are those of timescaledb-tune with PostgreSQL 17 and the default
// profile (https://github.com/timescale/timescaledb-tune, package pkg/pgtune,
// files memory.go, parallel.go, wal.go and misc.go, read at commit c7a642b).
// Where the tool has none, or assumes a machine of its own, the field says so.
type Tuning struct {
	// SharedBuffers is a quarter of the memory.
	SharedBuffers int64
	// EffectiveCacheSize is three quarters of the memory.
	EffectiveCacheSize int64
	// MaintenanceWorkMem is 128 MB per GB of memory, at most 2047 MB.
	MaintenanceWorkMem int64
	// AutovacuumWorkMem is 1/64 of the memory, at least 16 MB. Not in the tool, which
	// leaves ten workers with maintenance_work_mem each: more than a container has.
	AutovacuumWorkMem int64
	// WorkMem is 400 MB per GB of memory, divided by the connections and by half
	// the CPUs, at least 64 kB.
	WorkMem int64
	// MaxConnections as given, or 25, 50, 75, 100 for up to 2, 4, 6 and more GB.
	MaxConnections int
	// BackgroundWorkers of TimescaleDB is the tool's default.
	BackgroundWorkers int
	// WorkerProcesses is three of PostgreSQL's own, the background workers and one
	// per CPU.
	WorkerProcesses int
	// ParallelWorkers is one per CPU.
	ParallelWorkers int
	// ParallelWorkersPerGather is half the CPUs. With one CPU the tool recommends
	// nothing; here it is 0, since a second process gains nothing on one core.
	ParallelWorkersPerGather int
	// WALBuffers is 7864 kB per GB of memory below 2 GB, else 16 MB.
	WALBuffers int64
	// MaxWALSize is 60 % of the log's disk, rounded up to whole segments; the disk is
	// taken as a tenth of the volume. At least 64 MB, at most 16 GB, which bounds the
	// crash recovery.
	MaxWALSize int64
	// MinWALSize is half of MaxWALSize.
	MinWALSize int64
	// MaxLocksPerTransaction is 128, 256, 512 and 1024 below 8, 16, 32 GB and above.
	MaxLocksPerTransaction int
	// SharedMemory is the size of /dev/shm: room for one parallel maintenance
	// command and for a hash join in every parallel worker (hash_mem_multiplier is
	// 2), at least 64 MB, at most a quarter of the memory. Not in the tool.
	SharedMemory int64
}

// Tune computes the settings.
func Tune(m Machine) Tuning {
	gigs := float64(m.MemoryBytes) / float64(giB)
	connections := m.Connections
	if connections == 0 {
		connections = recommendedConnections(m.MemoryBytes)
	}
	cpus := max(1, m.CPUs)
	t := Tuning{
		SharedBuffers:      m.MemoryBytes / 4,
		EffectiveCacheSize: m.MemoryBytes * 3 / 4,
		MaintenanceWorkMem: min(int64(gigs*128*float64(miB)), 2047*miB),
		AutovacuumWorkMem:  max(m.MemoryBytes/64, 16*miB),
		MaxConnections:     connections,
		BackgroundWorkers:  16,
		ParallelWorkers:    cpus,
		WALBuffers:         16 * miB,
	}
	halfCPUs := math.Round(float64(cpus) / 2)
	t.WorkMem = max(int64(gigs*400*float64(miB)/float64(connections)/halfCPUs), 64*kiB)
	t.WorkerProcesses = 3 + t.BackgroundWorkers + cpus
	if cpus > 1 {
		t.ParallelWorkersPerGather = int(halfCPUs)
	}
	if m.MemoryBytes < 2*giB {
		t.WALBuffers = int64(gigs * 7864 * float64(kiB))
	}
	wal := (m.StorageBytes/walShare*60/100 + walSegment - 1) / walSegment * walSegment
	t.MaxWALSize = min(max(wal, 4*walSegment), 16*giB)
	t.MinWALSize = t.MaxWALSize / 2
	t.MaxLocksPerTransaction = 128
	for locks, atLeast := 256, int64(8*giB); locks <= 1024 && m.MemoryBytes >= atLeast; locks, atLeast = locks*2, atLeast*2 {
		t.MaxLocksPerTransaction = locks
	}
	parallel := t.MaintenanceWorkMem + int64(t.ParallelWorkers)*2*t.WorkMem
	t.SharedMemory = min(max(parallel, 64*miB), m.MemoryBytes/4)
	return t
}

func recommendedConnections(memory int64) int {
	switch {
	case memory <= 2*giB:
		return LeastConnections
	case memory <= 4*giB:
		return 50
	case memory <= 6*giB:
		return 75
	default:
		return 100
	}
}

// MostConnections is how many connections fit into half of a memory limit when
// each keeps what an idle one does; the other half is for the shared buffers and
// for the queries.
func MostConnections(memory int64) int { return int(memory / 2 / connectionBytes) }

// GraceSeconds is how long a fast shutdown may take: its checkpoint writes the
// dirty part of the shared buffers, all of them at worst, at the 20 MB/s that a
// slow network disk writes scattered pages with; a minute for everything else.
func (t Tuning) GraceSeconds() int { return 60 + int(t.SharedBuffers/(20*miB)) }

// RecoverySeconds is how long the replay of a full log may take after a crash, at
// 20 MB/s, with a minute for opening every file first.
func (t Tuning) RecoverySeconds() int { return 60 + int(t.MaxWALSize/(20*miB)) }

// StartupSeconds is how long the server may take to accept connections: the set-up of
// a new volume, or the replay of the log after a crash.
func (t Tuning) StartupSeconds() int { return answersWithin + t.RecoverySeconds() }

// setting is one line of postgresql.conf.
type setting struct{ name, value string }

func (t Tuning) settings() []setting {
	return []setting{
		{"shared_buffers", bytes(t.SharedBuffers)},
		{"effective_cache_size", bytes(t.EffectiveCacheSize)},
		{"maintenance_work_mem", bytes(t.MaintenanceWorkMem)},
		{"autovacuum_work_mem", bytes(t.AutovacuumWorkMem)},
		{"work_mem", bytes(t.WorkMem)},
		{"max_connections", strconv.Itoa(t.MaxConnections)},
		{"timescaledb.max_background_workers", strconv.Itoa(t.BackgroundWorkers)},
		{"max_worker_processes", strconv.Itoa(t.WorkerProcesses)},
		{"max_parallel_workers", strconv.Itoa(t.ParallelWorkers)},
		{"max_parallel_workers_per_gather", strconv.Itoa(t.ParallelWorkersPerGather)},
		{"wal_buffers", bytes(t.WALBuffers)},
		{"max_wal_size", bytes(t.MaxWALSize)},
		{"min_wal_size", bytes(t.MinWALSize)},
		{"max_locks_per_transaction", strconv.Itoa(t.MaxLocksPerTransaction)},
		// The tool's constants, the same for every machine.
		{"default_statistics_target", "100"},
		{"random_page_cost", "1.1"},
		{"checkpoint_completion_target", "0.9"},
		{"autovacuum_max_workers", "10"},
		{"autovacuum_naptime", "10"},
		{"effective_io_concurrency", "256"},
		{"default_toast_compression", "lz4"},
		{"jit", "off"},
	}
}

// bytes renders an amount in the largest of PostgreSQL's units that loses nothing;
// below one kB nothing counts.
func bytes(n int64) string {
	switch {
	case n >= giB && n%giB == 0:
		return fmt.Sprintf("%dGB", n/giB)
	case n >= miB && n%miB == 0:
		return fmt.Sprintf("%dMB", n/miB)
	default:
		return fmt.Sprintf("%dkB", n/kiB)
	}
}
