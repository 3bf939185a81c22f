// Produces to, or consumes from, a topic with franz-go, and prints what it cost as one line of JSON.
//
//	peer produce|consume BROKERS TOPIC RECORDS SIZE PARTITIONS equal|defaults
//
// Producing: acks = all, idempotent, a promise called for each record; when settings are equal 256 KiB batches and 5 ms of
// linger. Measured after a warm-up, as in ../rust/common. Consuming: manual assignment of all partitions, until RECORDS are
// read; their values' lengths are summed.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	batchBytes = 256 << 10
	// Records that wait to be acknowledged, at most: 64 MiB of 100 bytes, about.
	bufferedRecordsMax = 600_000
	// Acknowledged before the clock starts.
	warmUp = 20_000
)

func main() {
	if len(os.Args) != 8 {
		fatal("usage: peer produce|consume BROKERS TOPIC RECORDS SIZE PARTITIONS equal|defaults")
	}
	brokers, topic := strings.Split(os.Args[2], ","), os.Args[3]
	records, size, partitions := number(os.Args[4]), number(os.Args[5]), number(os.Args[6])
	equal := os.Args[7] == "equal"
	switch os.Args[1] {
	case "produce":
		produce(brokers, topic, records, size, equal)
	case "consume":
		consume(brokers, topic, records, size, partitions, equal)
	default:
		fatal("produce or consume, not " + os.Args[1])
	}
}

// Values that differ, at most 16 MB of them: the same as the Rust peers' in size and number.
func values(size int64) [][]byte {
	all := make([][]byte, min(max(16_000_000/size, 1), 65_536))
	for index := range all {
		var text strings.Builder
		for int64(text.Len()) < size {
			fmt.Fprintf(&text, `{"host":"node-%d","metric":"cpu.load","value":%d.%d,"ok":true}`,
				rand.IntN(1_000), rand.IntN(10_000), rand.IntN(100_000))
		}
		all[index] = []byte(text.String())[:size]
	}
	return all
}

func produce(brokers []string, topic string, records, size int64, equal bool) {
	options := []kgo.Opt{kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchCompression(kgo.NoCompression())}
	if equal {
		options = append(options, kgo.ProducerBatchMaxBytes(batchBytes), kgo.ProducerLinger(5*time.Millisecond),
			kgo.MaxBufferedRecords(bufferedRecordsMax))
	}
	client, err := kgo.NewClient(options...)
	check(err)
	defer client.Close()
	values := values(size)
	send(client, values, warmUp)
	meter := startMeter()
	acknowledged := send(client, values, records)
	meter.report(records, acknowledged, acknowledged*size, size)
}

func send(client *kgo.Client, values [][]byte, records int64) int64 {
	var acknowledged atomic.Int64
	var waiting sync.WaitGroup
	for index := range records {
		waiting.Add(1)
		client.Produce(context.Background(), &kgo.Record{Value: values[index%int64(len(values))]}, func(_ *kgo.Record, err error) {
			check(err)
			acknowledged.Add(1)
			waiting.Done()
		})
	}
	waiting.Wait()
	return acknowledged.Load()
}

func consume(brokers []string, topic string, records, size, partitions int64, equal bool) {
	meter := startMeter()
	offsets := map[int32]kgo.Offset{}
	for partition := range partitions {
		offsets[int32(partition)] = kgo.NewOffset().AtStart()
	}
	options := []kgo.Opt{kgo.SeedBrokers(brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets})}
	if equal {
		options = append(options, kgo.FetchMaxPartitionBytes(1<<20), kgo.FetchMaxWait(500*time.Millisecond))
	}
	reader, err := kgo.NewClient(options...)
	check(err)
	defer reader.Close()
	var read, bytes int64
	for read < records {
		fetches := reader.PollFetches(context.Background())
		fetches.EachError(func(_ string, _ int32, err error) { check(err) })
		fetches.EachRecord(func(record *kgo.Record) {
			read++
			bytes += int64(len(record.Value))
		})
	}
	meter.report(records, read, bytes, size)
}

// The clock and the process's CPU time, from its making on.
type meter struct {
	started      time.Time
	user, system float64
}

func startMeter() meter {
	user, system, _ := usage()
	return meter{time.Now(), user, system}
}

func usage() (user, system, residentMB float64) {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	seconds := func(of syscall.Timeval) float64 { return float64(of.Sec) + float64(of.Usec)/1e6 }
	return seconds(usage.Utime), seconds(usage.Stime), float64(usage.Maxrss) / 1024
}

func (meter meter) report(records, done, bytes, size int64) {
	wall := time.Since(meter.started).Seconds()
	user, system, resident := usage()
	user, system = user-meter.user, system-meter.system
	if done != records || bytes != records*size {
		fatal(fmt.Sprintf("%d records of %d bytes, not %d of %d", done, bytes, records, size))
	}
	line, err := json.Marshal(map[string]any{
		"client": "franz-go", "version": version(), "records": records, "size": size, "wall_s": wall, "user_s": user,
		"sys_s": system, "cpu_s_per_million": (user + system) * 1e6 / float64(done), "max_rss_mb": resident, "acked": done,
	})
	check(err)
	fmt.Println(string(line))
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/twmb/franz-go" {
				return module.Version
			}
		}
	}
	return "unknown"
}

func number(text string) int64 {
	value, err := strconv.ParseInt(text, 10, 64)
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fatal(err.Error())
	}
}

func fatal(text string) {
	fmt.Fprintln(os.Stderr, "franz-go: "+text)
	os.Exit(1)
}
