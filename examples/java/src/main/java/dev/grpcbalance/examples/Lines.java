package dev.grpcbalance.examples;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.common.net.InetAddresses;
import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.time.temporal.ChronoField;
import java.util.Objects;

/** JSON on stdout, one object a line, each written at once: the stream has no buffer. And how values look in it. */
final class Lines {
    private static final Gson JSON = new GsonBuilder().disableHtmlEscaping().create();
    private static final OutputStream STDOUT = new FileOutputStream(FileDescriptor.out);
    private static final DateTimeFormatter RFC3339 = new DateTimeFormatterBuilder()
        .appendPattern("uuuu-MM-dd'T'HH:mm:ss")
        .appendFraction(ChronoField.NANO_OF_SECOND, 0, 9, true)
        .appendLiteral('Z')
        .toFormatter()
        .withZone(ZoneOffset.UTC);

    private Lines() {}

    /** A null in the object is left out. */
    static void write(Object line) throws IOException {
        STDOUT.write((JSON.toJson(line) + "\n").getBytes(UTF_8));
    }

    static String time(Instant t) {
        return RFC3339.format(t);
    }

    /** Such as 10.244.0.7:5000 or [fd00::7]:5000; empty for null. */
    static String address(SocketAddress address) {
        return address instanceof InetSocketAddress inet
            ? InetAddresses.toUriString(inet.getAddress()) + ":" + inet.getPort()
            : Objects.toString(address, "");
    }
}
